"""sound_onnx: a network over windows of audio in a file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import pooled, weights
from made_videos import write_sound

from abawfw.errors import AbawfwError, ConfigError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors import build_extractor

LENGTH = 1600  # samples of a window


@pytest.fixture(scope='module')
def audio(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """A second of noise around a ramp."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, RATE) + np.linspace(-0.7, 0.7, RATE)
    return Audio(write_sound(tmp_path_factory.mktemp('audio') / 'a.mkv', noise, RATE, 'pcm_s16le'))


def made(file: Path, **options: Any) -> Any:
    return build_extractor('sound_onnx', file=str(file), **options)


def windows(audio: Audio, centres: np.ndarray) -> np.ndarray:
    """Samples around some times, zeros where there are none."""
    samples = np.pad(audio.read(0, RATE), LENGTH)
    starts = np.round(centres * RATE).astype(int) - LENGTH // 2 + LENGTH
    return np.stack([samples[start : start + LENGTH] for start in starts])


def by_hand(given: np.ndarray) -> np.ndarray:
    weight, bias = weights(1, 2)
    return given.mean(1, keepdims=True) @ weight + bias


TIMES = np.array([0.0, 0.04, 0.1, 0.31, 0.349, 0.36, 0.99])


@pytest.mark.parametrize('shape', [('n', 's'), ('n', 1, LENGTH), (1, LENGTH)], ids=str)
def test_windows_around_the_frames(shape: tuple, audio: Audio, tmp_path: Path) -> None:
    flat = len(shape) == 2
    net = pooled(tmp_path / 'net.onnx', shape, axes=[1] if flat else None)
    extractor = made(net, seconds=0.1, hop=0.1)
    extractor.check()
    found = np.concatenate(list(extractor.extract(audio, TIMES)))
    assert (found.shape, found.dtype) == ((7, 2), np.float32)
    nearest = np.array([0, 0, 0.1, 0.3, 0.3, 0.4, 1.0])
    np.testing.assert_allclose(found, by_hand(windows(audio, nearest)), atol=1e-5)
    if shape != ('n', 's'):
        assert made(net).settings()['seconds'] == 0.1
    after = np.concatenate(list(extractor.extract(audio, np.array([0.5, 2.0]))))
    assert after[0].any()
    assert not after[1].any()


def test_many_windows_and_few(audio: Audio, tmp_path: Path) -> None:
    """More than go in at a time, in order; a frame's value does not depend on the others."""
    net = pooled(tmp_path / 'net.onnx', ('n', 's'), axes=[1])
    times = np.arange(90) / 90
    found = np.concatenate(list(made(net, seconds=0.1, hop=0.01).extract(audio, times)))
    nearest = np.ceil(times * 100 - 0.5 - 1e-9) / 100
    np.testing.assert_allclose(found, by_hand(windows(audio, nearest)), atol=1e-5)
    few = np.concatenate(list(made(net, seconds=0.1, hop=0.01).extract(audio, times[40:43])))
    np.testing.assert_allclose(few, found[40:43], atol=1e-6)


def squared(model: Any) -> None:
    """The mean of squares instead, since that of a normalised window is 0."""
    model.graph.node[0].op_type = 'ReduceSumSquare'
    model.graph.node[1].op_type = 'Log'


def test_normalized_windows(audio: Audio, tmp_path: Path) -> None:
    net = pooled(tmp_path / 'net.onnx', ('n', 's'), axes=[1], change=squared)
    found = np.concatenate(list(made(net, seconds=0.1, normalize=True).extract(audio, np.array([0.2, 0.7]))))
    weight, bias = weights(1, 2)
    expected = np.log(LENGTH) * weight + bias  # the squares of a window of variance 1 sum to its length
    np.testing.assert_allclose(found, np.repeat(expected[None, 0], 2, 0), atol=1e-3)


def test_settings_say_what_decides(tmp_path: Path) -> None:
    net = pooled(tmp_path / 'net.onnx', ('n', LENGTH), axes=[1])
    settings = made(net, hop=0.2, output='penultimate').settings()
    assert {k: v for k, v in settings.items() if k != 'file'} == {
        'seconds': 0.1,
        'hop': 0.2,
        'normalize': False,
        'output': 'penultimate',
        'columns': None,
    }


@pytest.mark.parametrize(
    ('shape', 'options', 'told'),
    [
        (('n', 's'), {}, "takes 'input' (n, s) of tensor(float), audio of any length; give seconds=LENGTH"),
        (('n', LENGTH), {'seconds': 1}, '0.1 s, and seconds=1 is given'),
        (('n', 3, 24, 24), {}, 'audio is expected, (batch, samples) or (batch, 1, samples)'),
        (('n', 2, LENGTH), {}, 'audio is expected'),
    ],
)
def test_what_does_not_fit(shape: tuple, options: dict, told: str, tmp_path: Path) -> None:
    net = pooled(tmp_path / 'net.onnx', shape, axes=[1] if len(shape) == 2 else None)
    with pytest.raises(AbawfwError) as caught:
        made(net, **options).check()
    assert told in str(caught.value)


def test_lengths_that_are_none() -> None:
    for options in ({'seconds': 0}, {'hop': 0}, {'hop': 'a'}, {'seconds': float('inf')}):
        with pytest.raises(ConfigError, match=r"feature 'sound_onnx': (seconds|hop)=.*: must be "):
            build_extractor('sound_onnx', **options)
