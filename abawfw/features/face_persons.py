"""Which pieces of track belong to one person."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abawfw.features.detectors.boxes import area
from abawfw.features.face_colours import COLOURS, SAME
from abawfw.features.face_tracklet import Tracklet

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
