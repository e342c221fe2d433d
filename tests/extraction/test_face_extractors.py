"""Features of faces: pixels, and vectors from a backbone with its weights."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from abawfw.errors import CheckpointError, ConfigError, DataError
from abawfw.extraction.extractors import build_extractor
from abawfw.extraction.extractors.face48 import resize_faces
from abawfw.models.backbones import IResNet

TINY = {'type': 'IResNet', 'size': 40, 'units': (1, 1, 1, 1), 'width': 4}


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = IResNet((40, 40, 3), **{k: v for k, v in TINY.items() if k != 'type'})
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    return tmp_path / 'net.pth'


def test_small_faces_are_means_of_what_they_cover() -> None:
    """Of 112 pixels each of 48 covers 7 / 3: weights 3, 3, 1 of a third each, and so on."""
    given = faces(2)
    extractor = build_extractor('face48')
    small = extractor.extract(given)
    assert (small.shape, small.dtype) == ((2, *extractor.dims), extractor.dtype)
    cover = np.clip(np.minimum(np.arange(1, 49)[:, None] * 7 / 3, np.arange(1, 113)), None, None)
    cover = np.maximum(0, cover - np.maximum(np.arange(48)[:, None] * 7 / 3, np.arange(112))) * 3 / 7
    expected = np.einsum('ai,bj,nijc->nabc', cover, cover, given.astype(np.float64))
    assert np.abs(small - expected).max() <= 1


def test_channels_keep_their_order() -> None:
    red = np.zeros((1, 112, 112, 3), np.uint8)
    red[..., 0] = 200
    assert resize_faces(red, 48)[0, 5, 5].tolist() == [200, 0, 0]
    assert resize_faces(red, 112) is red


def test_embedding_is_what_the_backbone_gives(weights: Path) -> None:
    extractor = build_extractor('face_embedding', weights=str(weights), backbone=TINY, size=40)
    extractor.check()
    given = faces(3)
    found = extractor.extract(given)
    assert (found.shape, found.dtype) == ((3, *extractor.dims), np.float32)
    net = IResNet((40, 40, 3), **{k: v for k, v in TINY.items() if k != 'type'})
    net.load_state_dict(torch.load(weights))
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(resize_faces(given, 40))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # a face alone gives what it gives among others
    np.testing.assert_allclose(extractor.extract(given[1:2])[0], found[1], atol=1e-5)


def test_settings_follow_the_weights(weights: Path, tmp_path: Path) -> None:
    """Wherever the file lies, and another file is another setting."""

    def settings(path: Path) -> dict:
        return build_extractor('face_embedding', weights=str(path), backbone=TINY, size=40).settings()

    copy = tmp_path / 'copy.pth'
    copy.write_bytes(weights.read_bytes())
    assert settings(weights) == settings(copy)
    copy.write_bytes(weights.read_bytes() + b'more')
    assert settings(weights) != settings(copy)
    assert build_extractor('face48').settings() == {}


def test_it_travels_to_another_process(weights: Path) -> None:
    extractor = build_extractor('face_embedding', weights=str(weights), backbone=TINY, size=40)
    copy = pickle.loads(pickle.dumps(extractor))
    np.testing.assert_array_equal(copy.extract(faces(1)), extractor.extract(faces(1)))


def message(**options: object) -> str:
    with pytest.raises((DataError, CheckpointError, ConfigError)) as caught:
        build_extractor('face_embedding', **options).check()
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_what_is_missing(weights: Path, tmp_path: Path) -> None:
    text = message()
    assert 'needs weights=FILE' in text
    assert 'res50_ir_0.887.pth' in text
    assert 'no such file of weights' in message(weights=str(tmp_path / 'none.pth'))
    assert "no backbone 'IResNett'; did you mean 'IResNet'" in message(backbone='IResNett')
    other = {**TINY, 'width': 8}
    assert 'does not fit IResNet' in message(weights=str(weights), backbone=other, size=40)
    assert 'unexpected keyword' in message(weights=str(weights), backbone={**TINY, 'depth': 3}, size=40)


def test_incomplete_weights_are_refused(weights: Path) -> None:
    stored = torch.load(weights)
    del stored['output_layer.3.weight']
    torch.save(stored, weights)
    assert 'output_layer.3.weight' in message(weights=str(weights), backbone=TINY, size=40)


def test_names_and_options() -> None:
    with pytest.raises(ConfigError, match="'face49' cannot be extracted; did you mean 'face48'"):
        build_extractor('face49')
    with pytest.raises(ConfigError, match="no option 'weight'; did you mean 'weights'"):
        build_extractor('face_embedding', weight='a')
    with pytest.raises(ConfigError, match="no option 'size'; it has none"):
        build_extractor('face48', size=3)
