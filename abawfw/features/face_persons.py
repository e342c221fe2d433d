"""Which pieces of track belong to one person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abawfw.features.face_colours import SAME, alike
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
    for tracklet in tracklets:
        worth = [_likeness(person, tracklet, cuts, times) for person in persons]
        best = int(np.argmax(worth)) if worth else -1
        if best >= 0 and worth[best] >= SAME:
            persons[best].append(tracklet)
        else:
            persons.append([tracklet])
    return sorted(persons, key=_seen, reverse=True)


def frames_of(person: Sequence[Tracklet]) -> int:
    """In how many frames a person is found."""
    return sum(tracklet.stop - tracklet.start for tracklet in person)


def _seen(person: Sequence[Tracklet]) -> float:
    """Sum over frames of the side of the box."""
    return sum(float(_side(tracklet.rows).sum()) for tracklet in person)


def _side(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.maximum((rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]), 1))


def _likeness(
    person: Sequence[Tracklet], tracklet: Tracklet, cuts: Sequence[int], times: NDArray[np.float64]
) -> float:
    """How alike they look; 0 if they cannot be the same."""
    last = person[-1]
    if last.stop > tracklet.start:
        return 0.0
    same_scene = not any(last.stop <= cut <= tracklet.start for cut in cuts)
    if same_scene and not _could_move(last, tracklet, times):
        return 0.0
    known = [colours for piece in person for colours in (piece.first_colours, piece.colours)]
    return max(alike(colours, tracklet.first_colours) for colours in known)


def _could_move(last: Tracklet, tracklet: Tracklet, times: NDArray[np.float64]) -> bool:
    """Whether a face could have come from where it was lost to where it is found."""
    before, after = last.rows[-1:], tracklet.rows[:1]
    gap = times[tracklet.start] - times[last.stop - 1]
    sides = float(_side(before)[0]), float(_side(after)[0])
    way = (before[0, :2] + before[0, 2:4] - after[0, :2] - after[0, 2:4]) / 2
    far = float(np.hypot(*way)) / max(sides)
    return far <= 0.5 + SPEED * gap and max(sides) / min(sides) <= GROWTH * (1 + gap)
