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
from abawfw.extraction.faces.tracking import MOST, FaceFollower, Tracklet, frames_of, persons_of
from abawfw.extraction.packages import optional_package
from abawfw.extraction.video.recording import Frame, Recording

SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and corners of the mouth in an image of 112x112, as ArcFace and most others have them."""
SECOND = 0.1  # of the frames of the first person that a second one must be seen in
ALL = 'all'
"""In place of a number of persons: everyone who is taken for one."""
CROWD = 32  # faces followed at a time where everyone is
LISTED = 5  # things that are not taken for faces that notes name one by one


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
        suffix: of the name of the person's trial: '', or '_left' and '_right' where two are followed, or
            '_person1', '_person2', ..., where more are.
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
    recording: Recording, detector: FaceDetector, persons: int | str = 1, hold: float = 0.5
) -> list[FaceTrack]:
    """Read a video once and follow the faces in it.

    Args:
        recording: the video.
        detector: finds the faces.
        persons: 1: the person who is seen largest and longest (sum of the sides of the boxes). 2: the two of
            whom that is true, `_left` the one with the smaller mean x; if no other is seen in a tenth as
            many frames as the first one, there is one track. More: that many, `_person1` seen largest and
            longest; further ones must be seen as often as a second one. 'all': everyone. A person must be
            found for as long and as surely as ``detector`` asks for (see `FaceDetector`): a still image needs
            the score, a clip of 5 frames 3 frames with the face.
        hold: longest time in seconds from one frame with the face to the next over which it is
            interpolated; never over a cut.

    Returns:
        A track per person; without any face one with nothing found, and a note in the recording. What would
        have been followed and is not taken for a face is noted as well.

    Raises:
        DataError: the video cannot be read, or persons is neither 'all' nor a number from 1 on.
    """
    return follow_faces(recording, detector, persons, hold)[0]


def follow_faces(
    recording: Recording,
    detector: FaceDetector,
    persons: int | str = 1,
    hold: float = 0.5,
    others: bool = False,
) -> tuple[list[FaceTrack], list[FaceTrack]]:
    """`find_faces`, and where ``others`` are asked for, the tracks of all others taken for persons."""
    if problem := wrong_persons(persons):
        raise DataError(problem)
    wanted = None if persons == ALL else int(persons)
    follower = FaceFollower(detector, CROWD if wanted is None else max(wanted, MOST))
    times = []
    for frame in recording.frames():
        rgb = frame.rgb(detector.longest)
        scale = (np.array(frame.size) / rgb.shape[1::-1]).astype(np.float32)
        follower.add(frame.index, rgb, scale)
        times.append(frame.time)
    shown = np.array(times, np.float64)
    ranked = persons_of(follower.tracklets, follower.cuts, shown)
    doubts = [_doubt(person, detector, shown) for person in ranked]
    refused = [doubt for doubt in doubts[:wanted] if doubt is not None]
    for doubt in refused[:LISTED]:
        recording.note(doubt)
    if len(refused) > LISTED:
        recording.note(f'{len(refused) - LISTED} more things that look like faces are not taken for any')
    if follower.crowd > follower.most and wanted not in (1, 2):
        recording.note(f'up to {follower.crowd} faces in a frame: the {follower.most} largest are followed')
    everyone = [person for person, doubt in zip(ranked, doubts, strict=True) if doubt is None]
    people = everyone[:wanted]
    if wanted is not None:
        people = [person for person in people if frames_of(person) >= SECOND * frames_of(people[0])]
    rest = [_track(p, shown, follower.cuts, hold, '') for p in everyone if others and p not in people]
    if not people:
        recording.note(f'no face in any of the {len(shown)} frames')
        return [FaceTrack.empty(shown)], []
    if wanted is not None and len(people) < wanted:
        recording.note(f'{len(people)} of {wanted} persons found')
    if wanted in (1, 2):
        people.sort(key=_mean_x)
        suffixes = ['_left', '_right'] if len(people) == 2 else ['']
    else:
        suffixes = [f'_person{k + 1}' for k in range(len(people))]
    return [_track(p, shown, follower.cuts, hold, s) for p, s in zip(people, suffixes, strict=True)], rest


def wrong_persons(persons: Any) -> str | None:
    """What is wrong with a number of persons; None if nothing."""
    if persons == ALL or (isinstance(persons, int) and not isinstance(persons, bool) and persons > 0):
        return None
    return f"persons={persons}: '{ALL}', or how many persons of a video are followed, from 1 on"


def crops(
    recording: Recording, cuts: Sequence[tuple[FaceTrack, FaceView]]
) -> Iterator[list[NDArray[np.uint8]]]:
    """Read a video again, once, and cut the faces of all persons out of each frame.

    Args:
        recording: the video that the tracks are of.
        cuts: whose faces, and how each is cut out; at least one, all tracks of this video.

    Yields:
        For every frame the face of each cut (size, size, 3), zeros where it is not observed.

    Raises:
        DataError: the video has another number of frames than the tracks.
    """
    seen = [track.observed for track, _ in cuts]
    count, expected = 0, len(seen[0])
    for frame in recording.frames():
        if count < expected:
            yield [
                _face(frame, track, view) if there[count] else np.zeros((view.size, view.size, 3), np.uint8)
                for there, (track, view) in zip(seen, cuts, strict=True)
            ]
        count += 1
    if count != expected:
        raise DataError(f'{recording.path}: {count} frames, its face track has {expected}: extract it again')


def _face(frame: Frame, track: FaceTrack, view: FaceView) -> NDArray[np.uint8]:
    """The face of a person in a frame, as the view says."""
    if view.boxed:
        return _boxed(frame, track.boxes[frame.index], view.size)
    return cut_out(frame, track.points[frame.index], view.size)


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


def cut_out(frame: Frame, points: NDArray[np.float32], size: int = SIZE) -> NDArray[np.uint8]:
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
