"""A face in consecutive frames."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.faces.detectors.base import Face, FaceDetector, area, overlaps, scaled_points
from abawfw.extraction.packages import optional_package

VALUES = 15  # per frame: box, points, score


class Tracklet:
    """One face in consecutive frames.

    Args:
        start: index of its first frame.
        colours: see `colours`, at its first frame.

    Attributes:
        start: as given.
        first_colours: as given.
        colours: of the last full detection.
        box: the last one, in pixels of the image that was searched.
    """

    def __init__(self, start: int, colours: NDArray[np.float32]) -> None:
        self.start = start
        self.first_colours = self.colours = colours
        self.box = np.zeros(4, np.float32)
        self._speed = np.zeros(4, np.float32)
        self._values = array('f')

    @property
    def stop(self) -> int:
        """Index of the first frame after it."""
        return self.start + len(self._values) // VALUES

    @property
    def rows(self) -> NDArray[np.float32]:
        """(frames, 15): boxes, points and scores in pixels of the full image."""
        return np.array(self._values, np.float32).reshape(-1, VALUES)

    @property
    def first(self) -> NDArray[np.float32]:
        """(15,): the first of `rows`."""
        return np.array(self._values[:VALUES], np.float32)

    @property
    def last(self) -> NDArray[np.float32]:
        """(15,): the last of `rows`."""
        return np.array(self._values[-VALUES:], np.float32)

    @property
    def expected(self) -> NDArray[np.float32]:
        """Where the face is one frame on if it goes on as it has."""
        return self.box + self._speed

    def add(self, face: Face, scale: NDArray[np.float32]) -> None:
        """Append the next frame; ``scale`` (2,) turns the searched image's pixels into full ones."""
        if self._values:
            # a mean over about five frames: single steps are mostly jitter
            self._speed += 0.2 * (face.box - self.box - self._speed)
        self.box = face.box
        self._values.extend((face.box.reshape(2, 2) * scale).ravel())
        self._values.extend(scaled_points(face.points, scale).ravel())
        self._values.append(face.score)


COLOURS = 512
SAME = 0.77  # alikeness from which two faces may be the same person; see `alike`


def colours(rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Roots of how often each of 512 colours occurs in a face, its hair and what is worn below it, (512,)."""
    cv2: Any = optional_package('cv2', 'features', 'following faces')
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    x0, x1 = (int(np.clip(x, 0, rgb.shape[1])) for x in (left - 0.15 * width, right + 0.15 * width))
    y0, y1 = (int(np.clip(y, 0, rgb.shape[0])) for y in (top - 0.3 * height, bottom + 0.6 * height))
    if x1 <= x0 or y1 <= y0:
        return np.zeros(COLOURS, np.float32)
    small = cv2.resize(rgb[y0:y1, x0:x1], (32, 48), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    # relative to their mean, so that the same things in less light look the same
    levels = np.minimum(small * (3.5 / max(float(small.mean()), 1.0)), 7).astype(np.int64)
    counts = np.bincount(levels @ [64, 8, 1], minlength=COLOURS)
    return np.sqrt(counts / counts.sum()).astype(np.float32)


def alike(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Bhattacharyya coefficient of two results of `colours`: 1 for equal ones, 0 for none in common.

    Between any two frames of one clip, of the two that were measured, it is .79 at least, a hand before the
    face or 60 % of the light included; between frames of the two it is .69 at most.
    """
    return float(a @ b)


EVERY = 15  # frames from one full detection to the next
MOST = 8  # faces followed at a time, unless more persons are asked for
NEAR = 0.3  # overlap from which two boxes may be the same face
CUT = 20.0  # mean change of a pixel's value (of 255) from one image to the next that is a cut


class FaceFollower:
    """Follows all faces of a video, given its images one by one.

    A full detection is made every 15 frames, when a face is lost, after a cut, and in every frame while two
    faces overlap; otherwise the detector only refines the boxes of the frame before. A face found by a full
    detection goes on with the track that its box overlaps and its colours resemble.

    Args:
        detector: finds the faces.
        most: faces followed at a time, the largest ones.

    Attributes:
        tracklets: in the order of their first frames.
        cuts: indices of frames that begin a new scene.
        crowd: most faces found in one frame.
        most: as given.
    """

    def __init__(self, detector: FaceDetector, most: int = MOST) -> None:
        self.detector, self.most, self.crowd = detector, most, 0
        self.tracklets: list[Tracklet] = []
        self.cuts: list[int] = []
        self._cv2: Any = optional_package('cv2', 'features', 'following faces')
        self._active: list[Tracklet] = []
        self._searched = 0
        self._shape: tuple[int, ...] = ()
        self._thumbnail: NDArray[np.float32] | None = None

    def add(self, index: int, rgb: NDArray[np.uint8], scale: NDArray[np.float32]) -> None:
        """Take the next image.

        Args:
            index: of the frame.
            rgb: (height, width, 3).
            scale: (2,) full pixels per pixel of ``rgb``, across and down.
        """
        if self._is_cut(rgb):
            self.cuts.append(index)
            self._active = []
        if (
            self._active
            and index - self._searched < EVERY
            and not self._crossing([t.box for t in self._active])
        ):
            followed = self.detector.refine(rgb, np.stack([t.box for t in self._active]))
            faces = [face for face in followed if face is not None]
            if len(faces) == len(followed) and not self._crossing([face.box for face in faces]):
                for tracklet, face in zip(self._active, faces, strict=True):
                    tracklet.add(face, scale)
                return
        self._search(index, rgb, scale)

    def _search(self, index: int, rgb: NDArray[np.uint8], scale: NDArray[np.float32]) -> None:
        """A full detection."""
        self._searched = index
        faces = sorted(self.detector.detect(rgb), key=lambda face: -area(face.box))
        self.crowd = max(self.crowd, len(faces))
        faces = faces[: self.most]
        seen = [colours(rgb, face.box) for face in faces]
        goes_on, active = self._matches(faces, seen), []
        for k, face in enumerate(faces):
            if (tracklet := goes_on.get(k)) is None:
                tracklet = Tracklet(index, seen[k])
                self.tracklets.append(tracklet)
            tracklet.colours = seen[k]
            tracklet.add(face, scale)
            active.append(tracklet)
        # one that the full detection missed, half behind a hand, may still be followed
        missed = [t for t in self._active if t not in active]
        followed = self.detector.refine(rgb, np.stack([t.box for t in missed])) if missed else []
        for tracklet, again in zip(missed, followed, strict=True):
            if again is not None and not any(overlaps(again.box, t.box).item() > NEAR / 2 for t in active):
                tracklet.add(again, scale)
                active.append(tracklet)
        self._active = active

    def _matches(self, faces: list[Face], seen: list[NDArray[np.float32]]) -> dict[int, Tracklet]:
        """Which face, by its number, goes on with which track: the best pair first."""
        if not faces or not self._active:
            return {}
        shared = overlaps(np.stack([t.expected for t in self._active]), np.stack([f.box for f in faces]))
        likeness = np.array([[alike(t.colours, c) for c in seen] for t in self._active])
        worth = np.where((shared >= NEAR) & (likeness >= SAME), shared + likeness, -1)
        found: dict[int, Tracklet] = {}
        while worth.max() >= 0:
            i, k = np.unravel_index(worth.argmax(), worth.shape)
            found[int(k)] = self._active[i]
            worth[i], worth[:, k] = -1, -1
        return found

    def _crossing(self, boxes: list[NDArray[np.float32]]) -> bool:
        """Whether any two boxes overlap."""
        shared = overlaps(np.stack(boxes), np.stack(boxes))
        return bool((np.triu(shared, 1) > 0.05).any())

    def _is_cut(self, rgb: NDArray[np.uint8]) -> bool:
        small = self._cv2.resize(rgb, (48, 27), interpolation=self._cv2.INTER_AREA).astype(np.float32)
        last, self._thumbnail = self._thumbnail, small
        shape, self._shape = self._shape, rgb.shape
        return last is not None and (shape != rgb.shape or float(np.abs(small - last).mean()) > CUT)


SPEED = 2.0  # widths of itself that a face can move in a second
GROWTH = 2.0  # factor by which its size can change out of sight


def persons_of(
    tracklets: Sequence[Tracklet], cuts: Sequence[int], times: NDArray[np.float64]
) -> list[list[Tracklet]]:
    """Tracklets by person, the person that is seen largest and longest first.

    A tracklet goes on with a person who was lost before it starts if the colours of face, hair and clothes
    are alike and, within a scene, if the face could have moved there in the time. Without a network that
    knows faces this does not follow anybody through a change of clothes or light.

    Args:
        tracklets: pieces of track, by their first frames.
        cuts: frames that begin a new scene.
        times: (frames,) in seconds.

    Returns:
        Every tracklet in one of the lists, each in order of time.
    """
    persons: list[list[Tracklet]] = []
    # of every person: when last seen, and the colours of the first and of the last frame
    stops = np.zeros(len(tracklets), np.int64)
    known = np.zeros((2, len(tracklets), COLOURS), np.float32)
    for tracklet in tracklets:
        n = len(persons)
        likeness = (known[:, :n] @ tracklet.first_colours).max(0)
        possible = np.flatnonzero((likeness >= SAME) & (stops[:n] <= tracklet.start))
        for i in possible[np.argsort(-likeness[possible], kind='stable')]:
            if _could_be(persons[i][-1], tracklet, cuts, times):
                persons[i].append(tracklet)
                break
        else:
            i = n
            persons.append([tracklet])
            known[0, i] = tracklet.first_colours
        stops[i], known[1, i] = tracklet.stop, tracklet.colours
    return sorted(persons, key=_seen, reverse=True)


def frames_of(person: Sequence[Tracklet]) -> int:
    """In how many frames a person is found."""
    return sum(tracklet.stop - tracklet.start for tracklet in person)


def _seen(person: Sequence[Tracklet]) -> float:
    """Sum over frames of the side of the box."""
    return sum(float(_side(tracklet.rows).sum()) for tracklet in person)


def _side(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.maximum(area(rows[..., :4]), 1))


def _could_be(last: Tracklet, tracklet: Tracklet, cuts: Sequence[int], times: NDArray[np.float64]) -> bool:
    """Whether a face could have come from where it was lost; after a cut, from anywhere."""
    if bisect_left(cuts, last.stop) < bisect_right(cuts, tracklet.start):
        return True
    before, after = last.last, tracklet.first
    gap = times[tracklet.start] - times[last.stop - 1]
    sides = float(_side(before)), float(_side(after))
    way = (before[:2] + before[2:4] - after[:2] - after[2:4]) / 2
    far = float(np.hypot(*way)) / max(sides)
    return far <= 0.5 + SPEED * gap and max(sides) / min(sides) <= GROWTH * (1 + gap)
