"""VGGish on log-mel windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_videos import constant_rate, plain, write_sound, write_video

from abawfw.errors import CheckpointError, DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors import build_extractor
from abawfw.models.backbones import VGGish

TINY = {'hidden': 8, 'width': 2}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(VGGish((96, 64), **TINY).state_dict(), tmp_path / 'net.pth')
    return tmp_path / 'net.pth'


def test_vectors_of_the_same_windows(weights: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    sound = Audio(write_sound(tmp_path / 'a.mkv', noise, RATE, 'pcm_s16le'))
    times = np.array([0.0, 0.31, 0.5, 2.0])
    extractor = build_extractor('vggish', weights=str(weights), backbone=TINY)
    extractor.check()
    found = np.concatenate(list(extractor.extract(sound, times)))
    assert (found.shape, found.dtype) == ((4, *extractor.dims), np.float32)
    net = VGGish((96, 64), **TINY)
    net.load_state_dict(torch.load(weights))
    windows = np.concatenate(list(build_extractor('logmel').extract(sound, times)))
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(found[:3], expected[:3], atol=1e-6)
    assert not found[3].any()  # after the end


def test_without_sound(weights: Path, tmp_path: Path) -> None:
    sound = Audio(write_video(tmp_path / 'a.mp4', plain(4), constant_rate(4)))
    extractor = build_extractor('vggish', weights=str(weights), backbone=TINY)
    assert not np.concatenate(list(extractor.extract(sound, np.arange(4) / 30))).any()


def test_what_is_missing(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'vggish' needs weights=FILE.*vggish-10086976\.pth"):
        build_extractor('vggish').check()
    with pytest.raises(CheckpointError, match='no such file of weights'):
        build_extractor('vggish', weights=str(tmp_path / 'none.pth')).check()
    with pytest.raises(CheckpointError, match='does not fit VGGish'):
        build_extractor('vggish', weights=str(weights), backbone={**TINY, 'hidden': 16}).check()
