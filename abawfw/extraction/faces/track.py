"""Where the face of a person is in every frame of a video, and its crops."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.extraction.faces.detectors.base import FaceDetector, scaled_points
from abawfw.extraction.faces.tracking import FaceFollower, Tracklet, frames_of, persons_of
from abawfw.extraction.packages import optional_package
from abawfw.extraction.video.recording import Frame, Recording

SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and corners of the mouth in an image of 112x112, as ArcFace and most others have them."""
SECOND = 0.1  # of the frames of the first person that a second one must be seen in


class FaceView(NamedTuple):
    """How a face is cut out of a frame: the side of its image, and whether it is its box, or else aligned."""

    size: int = SIZE
    boxed: bool = False


@dataclass(frozen=True)
class FaceTrack:
    """The face of one person through a video.

    Attributes:
        times: (n,) seconds at which each frame is shown.
        boxes: (n, 4) float32: left, top, right, bottom in pixels of the upright image; NaN where none.
        points: (n, 5, 2) float32: see `Face.points`; NaN where there are none.
        scores: (n,) float32: confidence of the detector, 0 where nothing was found.
        found: (n,) bool: the face was found in this frame.
        filled: (n,) bool: it was not, but shortly before and after; box and points are interpolated.
        suffix: of the name of the person's trial: '', or '_left' and '_right' where two are followed.
    """

    times: NDArray[np.float64]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    found: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    suffix: str = ''

    @classmethod
    def empty(cls, times: NDArray[np.float64], suffix: str = '') -> FaceTrack:
        """A video without a face."""
        n = len(times)
        boxes, points = np.full((n, 4), np.nan, np.float32), np.full((n, 5, 2), np.nan, np.float32)
        found, filled = np.zeros((2, n), np.bool_)
        return cls(times, boxes, points, np.zeros(n, np.float32), found, filled, suffix)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """(n,) frames that have an image of the face."""
        return self.found | self.filled


def find_faces(
    recording: Recording, detector: FaceDetector, persons: int = 1, hold: float = 0.5
) -> list[FaceTrack]:
    """Read a video once and follow the faces in it.

    Args:
        recording: the video.
        detector: finds the faces.
        persons: 1: the person who is seen largest and longest (sum of the sides of the boxes). 2: the two of
            whom that is true, `_left` the one with the smaller mean x; if no other is seen in a tenth as
            many frames as the first one, there is one track. A person must be found for as long and as surely
            as ``detector`` asks for (see `FaceDetector`): a still image needs the score, a clip of 5 frames 3
            frames with the face.
        hold: longest time in seconds from one frame with the face to the next over which it is
            interpolated; never over a cut.

    Returns:
        One track, or two; without any face one with nothing found, and a note in the recording. What would
        have been followed and is not taken for a face is noted as well.

    Raises:
        DataError: the video cannot be read, or another number of persons.
    """
    if persons not in (1, 2):
        raise DataError(f'persons={persons}: 1 or 2 persons of a video can be followed')
    follower, times = FaceFollower(detector), []
    for frame in recording.frames():
        rgb = frame.rgb(detector.longest)
        scale = (np.array(frame.size) / rgb.shape[1::-1]).astype(np.float32)
        follower.add(frame.index, rgb, scale)
        times.append(frame.time)
    shown = np.array(times, np.float64)
    ranked = persons_of(follower.tracklets, follower.cuts, shown)
    doubts = [_doubt(person, detector, shown) for person in ranked]
    for doubt in filter(None, doubts[:persons]):
        recording.note(doubt)
    people = [person for person, doubt in zip(ranked, doubts, strict=True) if doubt is None][:persons]
    if len(people) == 2 and frames_of(people[1]) < SECOND * frames_of(people[0]):
        del people[1]
    if not people:
        recording.note(f'no face in any of the {len(shown)} frames')
        return [FaceTrack.empty(shown)]
    if len(people) < persons:
        recording.note(f'{len(people)} of {persons} persons found')
    people.sort(key=_mean_x)
    suffixes = ('_left', '_right') if len(people) == 2 else ('',)
    return [_track(p, shown, follower.cuts, hold, s) for p, s in zip(people, suffixes, strict=True)]


def crops(
    recording: Recording, track: FaceTrack, size: int = SIZE, boxed: bool = False
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Read a video again and cut out the face of each frame.

    Args:
        recording: the video that the track is of.
        track: where the face is.
        size: side of the images.
        boxed: cut out what lies in the box, stretched to a square, instead of the aligned face.

    Yields:
        Index of the frame and the face (size, size, 3), zeros where it is not observed.

    Raises:
        DataError: the video has another number of frames than the track.
    """
    observed, count = track.observed, 0
    for frame in recording.frames():
        if frame.index < len(observed):
            if observed[frame.index]:
                if boxed:
                    yield frame.index, _boxed(frame, track.boxes[frame.index], size)
                else:
                    yield frame.index, _crop(frame, track.points[frame.index], size)
            else:
                yield frame.index, np.zeros((size, size, 3), np.uint8)
        count += 1
    if count != len(observed):
        raise DataError(
            f'{recording.path}: {count} frames, its face track has {len(observed)}: extract it again'
        )


def _doubt(person: Sequence[Tracklet], detector: FaceDetector, times: NDArray[np.float64]) -> str | None:
    """Why a person is not taken for one; None if it is.

    The rule is for all tracklets of a person together: turning away or bad light makes short ones.
    """
    frames, half = frames_of(person), len(times) / 2
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    shortest = detector.shortest / step if step > 0 else half * (detector.shortest > 0)
    needed = math.ceil(min(shortest, half) - 0.1)  # times of frames are rounded
    score = float(np.median(np.concatenate([tracklet.rows[:, 14] for tracklet in person])))
    reasons = []
    if frames < needed:
        reasons.append(f'{needed} frames are needed (shortest={detector.shortest:g} s, or half of the video)')
    if score < detector.confidence - 1e-6:  # scores are float32
        reasons.append(f'its median score is {score:.3f} and {detector.confidence:g} is needed (confidence)')
    if not reasons:
        return None
    return (
        f'what looks like a face in {frames} frames, first in frame {person[0].start}, is not taken for one: '
        f'{"; ".join(reasons)}'
    )


def _crop(frame: Frame, points: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """The aligned face of a frame, from no more pixels than it takes."""
    longest = max(frame.size)
    rgb = frame.rgb(longest // shrinkable(points, size))
    return aligned(rgb, scaled_points(points, np.array(rgb.shape[1::-1]) / frame.size), size)


def _boxed(frame: Frame, box: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """What of a box lies in the frame, stretched to a square; by area where it shrinks."""
    cv2: Any = optional_package('cv2', 'features', 'cutting out faces')
    finer = max(1, int(min(box[2] - box[0], box[3] - box[1]) / (2 * size)))
    rgb = frame.rgb(max(frame.size) // finer)
    height, width = rgb.shape[:2]
    left, top, right, bottom = (box.reshape(2, 2) * (np.array([width, height]) / frame.size)).ravel()
    x, y = (min(max(round(float(low)), 0), end - 1) for low, end in ((left, width), (top, height)))
    face = rgb[y : max(round(float(bottom)), y + 1), x : max(round(float(right)), x + 1)]
    shrinks = face.shape[0] > size or face.shape[1] > size
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _mean_x(person: Sequence[Tracklet]) -> float:
    rows = np.concatenate([tracklet.rows for tracklet in person])
    return float(rows[:, [0, 2]].mean())


def _track(
    person: Sequence[Tracklet], times: NDArray[np.float64], cuts: Sequence[int], hold: float, suffix: str
) -> FaceTrack:
    """The tracklets of a person in one, short gaps between them bridged."""
    track = FaceTrack.empty(times, suffix)
    for piece in person:
        rows, where = piece.rows, slice(piece.start, piece.stop)
        track.boxes[where], track.scores[where] = rows[:, :4], rows[:, 14]
        track.points[where] = rows[:, 4:14].reshape(-1, 5, 2)
        track.found[where] = True
    seen = np.flatnonzero(track.found)
    for last, following in pairwise(seen):
        if following == last + 1 or times[following] - times[last] > hold:
            continue
        if any(last < cut <= following for cut in cuts):
            continue
        gap = slice(last + 1, following)
        fraction = ((times[gap] - times[last]) / (times[following] - times[last])).astype(np.float32)
        for values in (track.boxes, track.points):
            part = fraction.reshape(-1, *[1] * (values.ndim - 1))
            values[gap] = values[last] + part * (values[following] - values[last])
        track.filled[gap] = True
    return track


def similarity(points: NDArray, template: NDArray) -> NDArray[np.float64]:
    """The turn, scale and shift that bring points closest to a template in the sense of least squares.

    With points as complex numbers this is a linear regression with one factor; Umeyama's solution without
    mirroring.

    Args:
        points: (points, 2).
        template: (points, 2).

    Returns:
        (2, 3), for points as columns (x, y, 1).

    Raises:
        DataError: all points are in one place, or not finite.
    """
    z, w = (np.asarray(p, np.float64) @ [1, 1j] for p in (points, template))
    centred = z - z.mean()
    spread = float((abs(centred) ** 2).sum())
    if not 1e-6 < spread < math.inf:
        raise DataError(f'face with the points {np.asarray(points).tolist()}: they do not span a face')
    factor = (centred.conj() * (w - w.mean())).sum() / spread
    shift = w.mean() - factor * z.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def shrinkable(points: NDArray, size: int = SIZE) -> int:
    """By how much an image can be shrunk with its face still twice as large as wanted; a whole number.

    Args:
        points: (5, 2) in the image.
        size: side of the aligned face.
    """
    matrix = similarity(points, TEMPLATE * (size / SIZE))
    return max(1, int(0.5 / math.hypot(matrix[0, 0], matrix[1, 0])))


def aligned(rgb: NDArray[np.uint8], points: NDArray, size: int = SIZE) -> NDArray[np.uint8]:
    """One face, brought to the template.

    A face larger than wanted is cut out at about its own size and shrunk by the mean over areas, so that fine
    detail does not alias.

    Args:
        rgb: (height, width, 3).
        points: (5, 2), as a detector gives them.
        size: side of the result.

    Returns:
        (size, size, 3), black where the image ends.
    """
    cv2: Any = optional_package('cv2', 'features', 'aligning faces')
    matrix = similarity(points, TEMPLATE * (size / SIZE))
    finer = min(max(math.ceil(1 / math.hypot(matrix[0, 0], matrix[1, 0])), 1), 16)
    # pixel centres lie at whole numbers: the finer grid begins half a coarse pixel earlier
    matrix = matrix * finer
    matrix[:, 2] += (finer - 1) / 2
    face = cv2.warpAffine(rgb, matrix, (size * finer, size * finer), flags=cv2.INTER_LINEAR)
    return face if finer == 1 else cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
