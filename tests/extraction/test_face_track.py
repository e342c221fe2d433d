"""One person or two followed through a video: gaps, crossings, cuts; recall on real faces."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_persons import POINTS, SIZE, Place, SquareDetector, picture
from made_videos import constant_rate, write_video

from abawfw.errors import DataError
from abawfw.extraction.faces.detectors import Face, MTCNNDetector
from abawfw.extraction.faces.track import (
    FaceTrack,
    FaceView,
    aligned,
    crops,
    find_faces,
    follow_faces,
    shrinkable,
)
from abawfw.extraction.video.recording import Frame, Recording


def video(path: Path, shots: Sequence[Sequence[Place]], fps: float = 30) -> Recording:
    """A video of persons, frame by frame."""
    pictures = [picture(*persons) for persons in shots]
    return Recording(write_video(path / 'persons.mp4', pictures, constant_rate(len(shots), fps), crf=10))


def expected_boxes(places: Sequence[Place]) -> np.ndarray:
    boxes = np.full((len(places), 4), np.nan)
    for i, place in enumerate(places):
        if place is not None:
            _, x, y, side = place
            boxes[i] = [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
    return boxes


def moving(colour: str, start: float, stop: float, count: int, y: float = 60, side: int = 40) -> list[Place]:
    return [(colour, x, y, side) for x in np.linspace(start, stop, count)]


def assert_follows(track: FaceTrack, places: Sequence[Place]) -> None:
    """Every box is where the person is; frames without the person are not observed."""
    expected = expected_boxes(places)
    there = np.isfinite(expected[:, 0])
    assert track.found[~there].sum() == 0
    assert track.found[there].mean() >= 0.9
    np.testing.assert_allclose(track.boxes[track.found], expected[track.found], atol=4)
    assert (track.scores[track.found] > 0.5).all()
    assert (track.scores[~track.found] == 0).all()
    assert np.isnan(track.boxes[~track.observed]).all()
    assert np.isnan(track.points[~track.observed]).all()


def test_a_face_is_followed_with_few_full_detections(tmp_path: Path) -> None:
    places = moving('red', 40, 200, 61)
    detector = SquareDetector()
    (track,) = find_faces(video(tmp_path, [[p] for p in places]), detector)
    assert_follows(track, places)
    assert track.found.all()
    assert track.suffix == ''
    # frames 0, 15, 30, 45, 60
    assert (detector.detections, detector.refinements) == (5, 56)
    np.testing.assert_allclose(track.times, np.arange(61) / 30, atol=1e-5)


@pytest.mark.parametrize(
    ('missing', 'hold', 'is_filled'), [(10, 0.5, True), (10, 0.2, False), (40, 0.5, False)]
)
def test_a_face_that_disappears(tmp_path: Path, missing: int, hold: float, is_filled: bool) -> None:
    there = moving('red', 60, 160, 20 + missing + 20)
    places = [p if not 20 <= i < 20 + missing else None for i, p in enumerate(there)]
    (track,) = find_faces(video(tmp_path, [[p] for p in places]), SquareDetector(), hold=hold)
    assert_follows(track, places)
    assert track.found.sum() == 40
    gap = slice(20, 20 + missing)
    assert track.filled[gap].all() == is_filled
    assert track.filled.sum() == missing * is_filled
    if is_filled:
        np.testing.assert_allclose(track.boxes[gap], expected_boxes(there)[gap], atol=3)
        eye = expected_boxes(there)[gap, :2] + 40 * np.array([0.3, 0.4])
        np.testing.assert_allclose(track.points[gap, 0], eye, atol=3)


def test_gaps_count_in_seconds(tmp_path: Path) -> None:
    """At 5 frames per second four missing frames last a second."""
    places = [p if not 10 <= i < 14 else None for i, p in enumerate(moving('red', 100, 110, 30))]
    recording = video(tmp_path, [[p] for p in places], fps=5)
    assert find_faces(recording, SquareDetector(), hold=0.9)[0].filled.sum() == 0
    assert find_faces(recording, SquareDetector(), hold=1.01)[0].filled.sum() == 4


def test_a_detection_missed_now_and_then_loses_nothing(tmp_path: Path) -> None:
    places = moving('red', 40, 200, 61)
    detector = SquareDetector(blind=lambda call: call in (1, 3))
    (track,) = find_faces(video(tmp_path, [[p] for p in places]), detector)
    assert_follows(track, places)
    assert track.found.all()


@pytest.mark.parametrize('persons', [1, 2])
def test_no_face_at_all(tmp_path: Path, persons: int) -> None:
    recording = video(tmp_path, [[None]] * 10)
    (track,) = find_faces(recording, SquareDetector(), persons)
    assert not track.observed.any()
    assert track.scores.shape == (10,)
    assert recording.notes == ['no face in any of the 10 frames']


def test_two_persons(tmp_path: Path) -> None:
    right, left = moving('red', 160, 190, 40), moving('blue', 50, 60, 40, side=30)
    recording = video(tmp_path, list(zip(right, left, strict=True)))
    tracks = find_faces(recording, SquareDetector(), persons=2)
    assert [t.suffix for t in tracks] == ['_left', '_right']
    assert_follows(tracks[0], left)
    assert_follows(tracks[1], right)
    (largest,) = find_faces(recording, SquareDetector(), persons=1)
    assert largest.suffix == ''
    assert_follows(largest, right)
    assert recording.notes == []


def test_one_person_where_two_were_asked_for(tmp_path: Path) -> None:
    places = moving('red', 40, 100, 40)
    # somebody passes by for two frames
    shots = [[p, ('green', 200, 60, 30) if 5 <= i < 7 else None] for i, p in enumerate(places)]
    recording = video(tmp_path, shots)
    (track,) = find_faces(recording, SquareDetector(), persons=2)
    assert track.suffix == ''
    assert_follows(track, places)
    assert recording.notes == ['1 of 2 persons found']


@pytest.mark.parametrize('front', ['red', 'blue'])
def test_two_persons_who_cross_keep_their_tracks(tmp_path: Path, front: str) -> None:
    red, blue = moving('red', 40, 200, 81), moving('blue', 200, 45, 81)
    shots = [[b, r] if front == 'red' else [r, b] for r, b in zip(red, blue, strict=True)]
    tracks = find_faces(video(tmp_path, shots), SquareDetector(), persons=2)
    assert len(tracks) == 2
    # who is on the left on average is a matter of half a pixel; who is who is not
    by_start = sorted(tracks, key=lambda t: t.boxes[0, 0])
    for track, places in zip(by_start, (red, blue), strict=True):
        expected = expected_boxes(places)
        assert track.found.mean() > 0.7
        middle = (track.boxes[track.found, 0] + track.boxes[track.found, 2]) / 2
        # while they overlap, a box holds a part of one face or of both
        np.testing.assert_allclose(middle, expected[track.found, 0] + 20, atol=13)
        assert track.found[-20:].all()


def test_a_cut_to_another_person_in_the_same_place(tmp_path: Path) -> None:
    red, blue = [('red', 100, 60, 40)] * 50, [('blue', 102, 61, 40)] * 31
    pictures = [picture(p, background=150) for p in red[:20]]
    pictures += [picture(p, background=60) for p in blue]
    pictures += [picture(p, background=150) for p in red[20:]]
    path = write_video(tmp_path / 'cut.mp4', pictures, constant_rate(81), crf=10)
    tracks = find_faces(Recording(path), SquareDetector(), persons=2, hold=5)
    (one,) = find_faces(Recording(path), SquareDetector(), persons=1, hold=5)
    assert_follows(one, [*red[:20], *[None] * 31, *red[20:]])
    assert not one.filled.any(), 'a gap over a cut shows another scene'
    others = [t for t in tracks if not t.found[0]]
    assert_follows(others[0], [*[None] * 20, *blue, *[None] * 30])


def test_another_person_without_a_cut_is_noticed_at_the_next_full_detection(tmp_path: Path) -> None:
    """Small faces before one background: the picture as a whole hardly changes."""
    places: list[Place] = [('red', 100, 60, 24)] * 40 + [('blue', 102, 60, 24)] * 25
    (track,) = find_faces(video(tmp_path, [[p] for p in places]), SquareDetector())
    assert track.found[:40].all()
    assert not track.found[45:].any()


def test_less_light_is_no_other_person(tmp_path: Path) -> None:
    pictures = [picture(('red', 100, 60, 40), light=1.0 if i < 20 else 0.6) for i in range(40)]
    path = write_video(tmp_path / 'light.mp4', pictures, constant_rate(40), crf=10)
    (track,) = find_faces(Recording(path), SquareDetector())
    assert track.found.all()


def test_boxes_are_in_pixels_of_the_upright_picture(tmp_path: Path) -> None:
    """Searched at half the size, in a video with a rotation flag."""
    pictures = [picture(('red', 100, 60, 40))] * 5
    path = write_video(tmp_path / 'turned.mp4', pictures, constant_rate(5), rotation=-90, crf=10)
    detector = SquareDetector()
    detector.longest = SIZE[0] // 2
    (track,) = find_faces(Recording(path), detector)
    np.testing.assert_allclose(track.boxes, expected_boxes([('red', 100, 60, 40)] * 5), atol=5)


def test_crops_are_aligned_and_black_where_there_is_no_face(tmp_path: Path) -> None:
    places: list[Place] = [*moving('red', 60, 100, 10), *[None] * 30, *moving('red', 100, 60, 10)]
    recording = video(tmp_path, [[p] for p in places])
    (track,) = find_faces(recording, SquareDetector())
    seen = [face for (face,) in crops(recording, [(track, FaceView(48))])]
    assert len(seen) == 50
    for index, rgb in enumerate(seen):
        assert rgb.shape == (48, 48, 3)
        assert rgb.dtype == np.uint8
        if places[index] is None:
            assert not rgb.any()
        else:
            np.testing.assert_allclose(rgb[16:40, 16:32].reshape(-1, 3).mean(0), [230, 40, 40], atol=12)


def test_crops_of_a_large_face_do_not_depend_on_the_size_it_is_cut_from(tmp_path: Path) -> None:
    """The face is 7 times as large as wanted, or 14: it is cut from a picture that is shrunk first."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (9, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (960, 540), interpolation=cv2.INTER_CUBIC)
    recording = Recording(write_video(tmp_path / 'large.mp4', [smooth], [0.0], crf=5))
    track = FaceTrack.empty(np.zeros(1))
    track.points[0] = 200 + 300 * POINTS
    track.found[0] = True
    for size in (48, 24):
        ((rgb,),) = crops(recording, [(track, FaceView(size))])
        (frame,) = recording.frames()
        whole = aligned(frame.rgb(), track.points[0], size)
        assert shrinkable(track.points[0], size) > 1
        # in the middle: at the edge of the picture the mean reaches over it
        difference = np.abs(rgb.astype(int) - whole)[size // 6 : -size // 6, size // 6 : -size // 6]
        assert difference.mean() < 1.5
        shifted = np.abs(rgb[:, 1:].astype(int) - whole[:, :-1])
        assert shifted.mean() > 2 * difference.mean()


def test_crops_of_another_video(tmp_path: Path) -> None:
    recording = video(tmp_path, [[('red', 100, 60, 40)]] * 5)
    (track,) = find_faces(recording, SquareDetector())
    other = FaceTrack.empty(track.times[:3])
    with pytest.raises(DataError, match='5 frames, its face track has 3'):
        list(crops(recording, [(other, FaceView())]))


@pytest.mark.parametrize('persons', [0, -1, True, 'both', 1.5])
def test_numbers_of_persons_that_are_none(tmp_path: Path, persons: Any) -> None:
    with pytest.raises(DataError, match=f"persons={persons}: 'all', or how many persons"):
        find_faces(Recording(tmp_path / 'unread.mp4'), SquareDetector(), persons=persons)


def test_everyone_keeps_an_id_through_a_cut_and_absence(tmp_path: Path) -> None:
    """The second scene shows them elsewhere; one is away for a second, one passes by for three frames."""
    count = 40
    red = [('red', 60, 60, 44)] * count + [('red', 190, 60, 44)] * count
    green = [('green', 130, 60, 36) if not 5 <= i < 35 else None for i in range(count)]
    green += [('green', 60, 70, 36)] * count
    blue: list[Place] = [None] * (2 * count)
    blue[70:73] = [('blue', 120, 50, 20)] * 3
    shots = list(zip(red, green, blue, strict=True))
    recording = video(tmp_path, shots)
    path = recording.path
    detector = SquareDetector()
    detector.shortest = 0.5
    tracks = find_faces(recording, detector, 'all')
    assert [track.suffix for track in tracks] == ['_person1', '_person2']
    for track, places in zip(tracks, (red, green), strict=True):
        assert_follows(track, places)
    (note,) = recording.notes
    assert note.startswith('what looks like a face in 3 frames, first in frame 70, is not taken for one')
    detector.shortest = 0.0
    three = find_faces(Recording(path), detector, 'all')
    assert [track.found.sum() for track in three] == [track.found.sum() for track in tracks] + [3]
    # a number asks for those who are seen in a tenth of the frames of the first
    recording = Recording(path)
    assert [track.suffix for track in find_faces(recording, detector, 3)] == ['_person1', '_person2']
    assert recording.notes == ['2 of 3 persons found']
    assert [track.suffix for track in find_faces(Recording(path), detector, 2)] == ['_left', '_right']
    people, others = follow_faces(Recording(path), detector, 1, others=True)
    assert [track.found.sum() for track in (*people, *others)] == [track.found.sum() for track in three]


class Crowd(SquareDetector):
    """Forty faces in every picture, the later ones larger."""

    def detect(self, rgb: np.ndarray) -> list[Face]:
        found = []
        for k in range(40):
            corner, side = np.array([28 * (k % 8), 26 * (k // 8)], np.float32), 15 + k / 10
            box = np.concatenate([corner, corner + side]).astype(np.float32)
            found.append(Face(box, (corner + POINTS * side).astype(np.float32), 0.9))
        return found

    def refine(self, rgb: np.ndarray, boxes: np.ndarray) -> list[Face | None]:
        known = {tuple(face.box): face for face in self.detect(rgb)}
        return [known[tuple(box)] for box in boxes]


def test_a_crowd(tmp_path: Path) -> None:
    recording = video(tmp_path, [[('red', 100, 60, 40)]] * 4)
    tracks = find_faces(recording, Crowd(), 'all')
    assert [track.suffix for track in tracks] == [f'_person{k + 1}' for k in range(32)]
    sides = [float(np.ptp(track.boxes[0, ::2])) for track in tracks]
    assert sides == sorted(sides, reverse=True)
    assert sides[-1] == pytest.approx(15.8, abs=0.01)
    assert recording.notes == ['up to 40 faces in a frame: the 32 largest are followed']
    assert len(find_faces(recording, Crowd(), 1)) == 1


def test_one_frame(tmp_path: Path) -> None:
    (track,) = find_faces(video(tmp_path, [[('red', 100, 60, 40)]]), SquareDetector())
    assert track.found.tolist() == [True]


class Repeated(Recording):
    """Frames made one by one, as many as asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.path = Path('repeated')
        self.notes = []
        self.alive: weakref.WeakSet = weakref.WeakSet()
        self.most = 0

    def frames(self) -> Iterator[Frame]:
        for i in range(self.count):
            frame = Made(i)
            self.alive.add(frame)
            self.most = max(self.most, len(self.alive))
            yield frame
            del frame


class Made(Frame):
    def __init__(self, index: int) -> None:
        super().__init__(index, index / 30, None, None)

    @property
    def size(self) -> tuple[int, int]:
        return SIZE

    def rgb(self, longest: int | None = None) -> np.ndarray:
        return picture(('red', 100 + self.index % 20, 60, 40))


def test_memory_does_not_grow_with_pictures() -> None:
    peaks = []
    gc.disable()
    try:
        for count in (50, 350):
            recording = Repeated(count)
            tracemalloc.start()
            (track,) = find_faces(recording, SquareDetector())
            for _ in crops(recording, [(track, FaceView(48))]):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert track.found.all()
            assert recording.most <= 2
    finally:
        gc.enable()
    # 300 more pictures of 98 kB would be 29 MB; boxes and points take some 300 bytes a frame
    assert peaks[1] - peaks[0] < 300 * 600


@pytest.mark.parametrize('name', ['single_face', 'WolfgangLanger_Pexels'])
def test_faces_of_the_clips(shared: Path, name: str) -> None:
    """A face is visible in every frame."""
    recording = Recording(shared / 'media' / f'{name}.mp4')
    (track,) = find_faces(recording, MTCNNDetector())
    assert track.found.all()
    assert recording.notes == []
    eyes = np.linalg.norm(track.points[:, 0] - track.points[:, 1], axis=1)
    jerk = np.linalg.norm(track.points[2:] + track.points[:-2] - 2 * track.points[1:-1], axis=2)[:, :3].mean(
        1
    )
    assert np.nanmedian(jerk / eyes[1:-1]) < 0.05
    left, top, right, bottom = track.boxes[track.found].T
    assert ((right - left > 100) & (bottom - top > 100)).all()


def test_a_cut_from_one_clip_to_the_other(shared: Path, tmp_path: Path) -> None:
    clips = [Recording(shared / 'media' / f'{n}.mp4') for n in ('single_face', 'WolfgangLanger_Pexels')]
    pictures = [f.rgb(320) for clip, stop in zip(clips, (30, 45), strict=True) for f in upto(clip, stop)]
    recording = Recording(write_video(tmp_path / 'cut.mp4', pictures, constant_rate(75)))
    (one,) = find_faces(recording, MTCNNDetector())
    # the second one is seen longer and larger
    assert not one.observed[:30].any()
    assert one.found[30:].mean() >= 0.95


def upto(clip: Recording, stop: int) -> Iterator[Frame]:
    for frame in clip.frames():
        if frame.index == stop:
            return
        yield frame
