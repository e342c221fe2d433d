"""Faces followed from picture to picture, until they are lost or the scene is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.features.detectors.base import Face, FaceDetector
from abawfw.features.detectors.boxes import area, overlaps
from abawfw.features.face_colours import SAME, alike, colours
from abawfw.features.face_tracklet import Tracklet
from abawfw.features.packages import optional_package

EVERY = 15  # frames from one full detection to the next
MOST = 8  # faces followed at a time, the largest ones
NEAR = 0.3  # overlap from which two boxes may be the same face
CUT = 20.0  # mean change of a pixel's value (of 255) from one picture to the next that is a cut


class FaceFollower:
    """Follows all faces of a video, given its pictures one by one.

    A full detection is made every 15 frames, when a face is lost, after a cut, and in every frame while two
    faces overlap; otherwise the detector only refines the boxes of the frame before. A face found by a full
    detection goes on with the track that its box overlaps and its colours resemble.

    Args:
        detector: finds the faces.

    Attributes:
        tracklets: in the order of their first frames.
        cuts: indices of frames that begin a new scene.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.detector = detector
        self.tracklets: list[Tracklet] = []
        self.cuts: list[int] = []
        self._cv2: Any = optional_package('cv2', 'features', 'following faces')
        self._active: list[Tracklet] = []
        self._searched = 0
        self._shape: tuple[int, ...] = ()
        self._thumbnail: NDArray[np.float32] | None = None

    def add(self, index: int, rgb: NDArray[np.uint8], scale: NDArray[np.float32]) -> None:
        """Take the next picture.

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
        faces = sorted(self.detector.detect(rgb), key=lambda face: -area(face.box))[:MOST]
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
