"""Which tracks are of a face: length and confidence, on made and on real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_persons import SquareDetector, picture

from abawfw.extraction.faces.detectors import MTCNNDetector
from abawfw.extraction.faces.track import find_faces
from abawfw.extraction.video.recording import Frame, Recording


class Shown(Recording):
    """Pictures as a video of a constant rate, without a file."""

    def __init__(self, pictures: Sequence[np.ndarray], fps: float = 30) -> None:
        self.path = Path('shown')
        self.notes = []
        self._pictures_shown, self._fps = pictures, fps

    def frames(self) -> Iterator[Frame]:
        for i, rgb in enumerate(self._pictures_shown):
            yield Still(i, i / self._fps, rgb)


class Still(Frame):
    def __init__(self, index: int, time: float, rgb: np.ndarray) -> None:
        super().__init__(index, time, None, None)
        self._rgb = rgb

    @property
    def size(self) -> tuple[int, int]:
        return self._rgb.shape[1], self._rgb.shape[0]

    def rgb(self, longest: int | None = None) -> np.ndarray:
        return self._rgb


def strict(shortest: float = 0.5, confidence: float = 0.0) -> SquareDetector:
    """A detector that asks for more than a single frame; its scores are .9."""
    detector = SquareDetector()
    detector.shortest, detector.confidence = shortest, confidence
    return detector


@pytest.mark.parametrize(
    ('there', 'frames', 'fps', 'counts'),
    [
        (5, 20, 12, False),
        (6, 20, 12, True),
        (2, 20, 5, False),  # seconds count, not frames
        (3, 20, 5, True),
        (5, 5, 30, True),  # of a short video half is enough
        (3, 5, 30, True),
        (2, 5, 30, False),
        (4, 7, 30, True),
        (1, 1, 30, True),  # a still picture
    ],
)
def test_a_face_is_seen_for_half_a_second_or_in_half_of_a_short_video(
    there: int, frames: int, fps: float, counts: bool
) -> None:
    shots = [picture(('red', 100, 60, 40) if i < there else None) for i in range(frames)]
    (track,) = find_faces(Shown(shots, fps), strict())
    assert track.found.sum() == there * counts


def test_what_is_not_taken_for_a_face_is_noted() -> None:
    recording = Shown([picture(('red', 100, 60, 40) if 8 <= i < 12 else None) for i in range(20)], 10)
    (track,) = find_faces(recording, strict(0.5, 0.95))
    assert not track.observed.any()
    assert recording.notes == [
        'what looks like a face in 4 frames, first in frame 8, is not taken for one: 5 frames are needed '
        '(shortest=0.5 s, or half of the video); its median score is 0.900 and 0.95 is needed (confidence)',
        'no face in any of the 20 frames',
    ]


def test_a_score_as_high_as_the_limit_is_enough() -> None:
    """Scores are kept in single precision, in which .9 is a little less."""
    shots = [picture(('red', 100, 60, 40))] * 5
    assert find_faces(Shown(shots), strict(0, 0.9))[0].found.all()
    assert not find_faces(Shown(shots), strict(0, 0.91))[0].found.any()


def test_pieces_of_one_person_count_together() -> None:
    """Three times for three frames: none is long enough by itself."""
    recording = Shown([picture(('red', 100, 60, 40) if i % 7 < 3 else None) for i in range(21)], 10)
    (track,) = find_faces(recording, strict(0.8))
    assert track.found.sum() == 9
    assert recording.notes == []


def test_a_large_thing_for_a_moment_does_not_hide_the_person() -> None:
    person, thing = ('red', 60, 60, 24), ('blue', 170, 68, 110)
    shots = [picture(person, thing if i < 5 else None) for i in range(15)]
    (track,) = find_faces(Shown(shots, 12), strict())
    assert track.found.all()
    np.testing.assert_allclose(track.boxes, [[48, 48, 72, 72]] * 15, atol=2)
    (largest,) = find_faces(Shown(shots, 12), strict(0))
    assert largest.found.sum() == 5


def test_digits_on_colour_bars_are_no_face() -> None:
    """Detections in four of seven frames, as many as a short clip with a face needs; their score is .78."""
    recording = Shown([digits(shift) for shift in (-2, 4, -2, 4, -2, 4, -2)])
    (anything,) = find_faces(recording, MTCNNDetector(confidence=0, shortest=0))
    assert anything.found.sum() == 4
    (track,) = find_faces(recording, MTCNNDetector())
    assert not track.observed.any()
    assert recording.notes[-1] == 'no face in any of the 7 frames'


def digits(shift: int) -> np.ndarray:
    """Black digits on coloured stripes; moved by a pixel or two they look like a face to MTCNN, or do not."""
    bars = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]
    rgb = 192 * np.array(bars, np.uint8)[np.arange(320) * 7 // 320][None].repeat(180, 0)
    font = cv2.FONT_HERSHEY_SIMPLEX
    return cv2.putText(rgb, '2893', (13 + shift, 143), font, 1.9, (0, 0, 0), 10, cv2.LINE_AA)


@pytest.fixture(scope='module', params=[('single_face', 6), ('WolfgangLanger_Pexels', 40)])
def frames(request: pytest.FixtureRequest, shared: Path) -> list[np.ndarray]:
    """A dozen frames spread over a clip."""
    name, every = request.param
    return [f.rgb(640) for f in Recording(shared / f'media/{name}.mp4').frames() if f.index % every == 0]


@pytest.mark.parametrize('change', ['small', 'dark', 'compressed', 'five frames'])
def test_real_faces_still_count(frames: list[np.ndarray], change: str) -> None:
    """The face about 60 pixels high, at 15 % of the light, as JPEG of quality 10, for a sixth of a second."""
    if change == 'small':
        frames = [cv2.resize(f, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA) for f in frames]
    elif change == 'dark':
        frames = [(f * 0.15).astype(np.uint8) for f in frames]
    elif change == 'compressed':
        quality = [cv2.IMWRITE_JPEG_QUALITY, 10]
        frames = [np.asarray(cv2.imdecode(cv2.imencode('.jpg', f, quality)[1], 1)) for f in frames]
    else:
        frames = frames[:5]
    (track,) = find_faces(Shown(frames), MTCNNDetector())
    assert track.found.all()
