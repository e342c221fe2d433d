"""Pieces of track put together to persons."""

from __future__ import annotations

import time

import numpy as np

from abawfw.extraction.faces.detectors import Face
from abawfw.extraction.faces.tracking import COLOURS, Tracklet, persons_of

TIMES = np.arange(100_000) / 30


def piece(start: int, stop: int, colour: int, x: float = 100, side: float = 40) -> Tracklet:
    """A face of one colour that stands still."""
    colours = np.zeros(COLOURS, np.float32)
    colours[colour] = 1
    tracklet = Tracklet(start, colours)
    box = np.array([x - side / 2, 50, x + side / 2, 50 + side], np.float32)
    for _ in range(start, stop):
        tracklet.add(Face(box, np.zeros((5, 2), np.float32), 0.9), np.ones(2, np.float32))
    return tracklet


def parts(tracklets: list[Tracklet], cuts: list[int] | None = None) -> list[list[int]]:
    """Of each person, the numbers of the pieces."""
    persons = persons_of(tracklets, cuts or [], TIMES)
    return [[tracklets.index(tracklet) for tracklet in person] for person in persons]


def test_colours_tell_persons_apart() -> None:
    assert parts([piece(0, 50, 1), piece(60, 70, 2), piece(80, 99, 1)]) == [[0, 2], [1]]


def test_two_at_the_same_time_are_two() -> None:
    assert parts([piece(0, 50, 1), piece(30, 60, 1, x=104)]) == [[0], [1]]


def test_nobody_jumps_through_the_picture() -> None:
    """500 pixels in a third of a second with a face of 40 pixels; in 10 seconds it can be walked."""
    near, far = piece(0, 50, 1), piece(60, 90, 1, x=600)
    assert parts([near, far]) == [[0], [1]]
    assert parts([near, piece(350, 380, 1, x=600)]) == [[0, 1]]
    assert parts([near, piece(55, 90, 1, side=160)]) == [[1], [0]]
    # in another scene the camera stands elsewhere
    assert parts([near, far], [60]) == [[0, 1]]
    assert parts([near, far], [50]) == [[0, 1]]
    assert parts([near, far], [49, 61]) == [[0], [1]]


def test_the_largest_and_longest_comes_first() -> None:
    assert parts([piece(0, 50, 1), piece(0, 30, 2, x=400, side=80)]) == [[1], [0]]
    assert parts([piece(0, 50, 1), piece(0, 20, 2, x=400, side=80)]) == [[0], [1]]
    assert parts([]) == []


def test_thousands_of_pieces_take_seconds() -> None:
    pieces = [piece(10 * i, 10 * i + 5, i % COLOURS) for i in range(4000)]
    start = time.process_time()
    assert len(persons_of(pieces, [], TIMES)) == COLOURS
    assert time.process_time() - start < 10
