"""Features of sound: values, alignment, and sound as it comes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_videos import constant_rate, plain, write_sound, write_video

from abawfw.errors import ConfigError, DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors import base as ten_ms_rows
from abawfw.extraction.extractors import build_extractor
from abawfw.extraction.extractors.base import rows_at
from abawfw.extraction.extractors.compare import voiced_deltas
from abawfw.extraction.video.recording import Recording

NAMES = ['logmel', 'egemaps', 'mfcc', 'compare']
DIMS = {'logmel': (96, 64), 'egemaps': (88,), 'mfcc': (39,), 'compare': (130,)}


def extract(name: str, sound: Audio, times: np.ndarray, **options: str) -> np.ndarray:
    extractor = build_extractor(name, **options)
    extractor.check()
    rows = np.concatenate(list(extractor.extract(sound, np.asarray(times))))
    assert rows.shape == (len(times), *DIMS[name])
    assert rows.dtype == extractor.dtype
    assert extractor.dims == DIMS[name]
    return rows


def voice(seconds: float) -> np.ndarray:
    """Syllables of a voice of changing pitch."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.3 * t)) / RATE
    tone = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 20))
    hiss = np.random.default_rng(0).normal(size=len(t))
    samples = tone * np.clip(np.sin(2 * np.pi * 1.7 * t) + 0.3, 0, 1) * 0.2 + 0.001 * hiss
    return samples.astype(np.float32)


def recorded(tmp_path: Path, samples: np.ndarray) -> Audio:
    return Audio(write_sound(tmp_path / 'sound.mkv', samples, RATE, 'pcm_s16le'))


@pytest.fixture(scope='module')
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    return recorded(tmp_path_factory.mktemp('spoken'), voice(5))


@pytest.mark.parametrize('fps', [24, 25, 29.97, 30, 15])
def test_logmel_is_golden(golden_tagf: Path, tmp_path: Path, fps: float) -> None:
    with np.load(golden_tagf / 'logmel.npz') as file:
        golden = dict(file)
    sound = recorded(tmp_path, golden['wave_int16'] / np.float32(32767))  # as it is written
    starts = golden[f'starts_fps{fps}']
    windows = extract('logmel', sound, np.arange(len(starts)) / fps)
    covered = np.arange(len(starts)) / fps < sound.duration
    expected = np.stack([golden['log_mel'][k : k + 96] for k in starts[covered]])
    np.testing.assert_allclose(windows[covered].astype(np.float32), expected, rtol=1e-3, atol=1e-3)
    assert not windows[~covered].any()


def reference_starts(num_frames: int, fps: float) -> np.ndarray:
    """As the reference rounds, in this order: at 24 fps 12.5 becomes 12.499... and so 12."""
    return np.round(np.arange(num_frames) * ((1 / fps) / 0.01)).astype(np.int64)


@pytest.mark.parametrize('fps', [24, 25, 29.97, 30, 15, 12, 60])
def test_constant_rates_round_as_the_reference(fps: float) -> None:
    np.testing.assert_array_equal(rows_at(np.arange(20000) / fps), reference_starts(20000, fps))


@pytest.mark.parametrize('rate', [24000, 30000])
def test_rates_of_television_round_alike_but_for_ties(rate: int) -> None:
    """Where two steps are equally near, the reference takes the one that rounding errors choose."""
    rows, starts = rows_at(np.arange(20000) * 1001 / rate), reference_starts(20000, rate / 1001)
    tie = np.arange(20000) * 1001 * 100 % rate * 2 == rate
    np.testing.assert_array_equal(rows[~tie], starts[~tie])
    assert np.isin(starts[tie] - rows[tie], (0, 1)).all()


@given(st.lists(st.floats(0, 4000), min_size=1, max_size=20))
def test_rows_are_the_nearest(times: list[float]) -> None:
    rows = rows_at(np.array(times))
    assert np.abs(rows / 100 - np.array(times)).max() <= 0.005 + 1e-9


FRAME_TIMES = {
    '23.976': [k * 1001 / 24000 for k in range(84)],
    '29.97': [k * 1001 / 30000 for k in range(105)],
    'variable': np.cumsum(np.random.default_rng(1).choice([1 / 60, 1 / 30, 1 / 12], 80)).tolist(),
}


@pytest.mark.parametrize('rate', FRAME_TIMES)
def test_a_click_is_in_the_features_of_its_frame(tmp_path: Path, rate: str) -> None:
    """A flash in frame k and a click at its time: features of that frame begin with the click.

    Where a window starts at the frame, the click is at its time in the windows before and at the start of
    that of the frame; where rows tell of a moment, it is loudest in this frame.
    """
    times = np.array(FRAME_TIMES[rate])
    k = 60
    half = 0.5 * min(times[k] - times[k - 1], times[k + 1] - times[k])
    pictures = [np.full((64, 96, 3), 250 if i == k else 10, np.uint8) for i in range(len(times))]
    samples = np.zeros(round((times[-1] + 1) * 48000), np.float32)
    at = round(times[k] * 48000)
    samples[at : at + 96] = 0.8 * np.cos(np.arange(96))
    path = write_video(tmp_path / 'a.mp4', pictures, times, samples)

    frames = list(Recording(path).frames())
    found = np.array([frame.time for frame in frames])
    assert np.argmax([frame.rgb().mean() for frame in frames]) == k
    sound = Audio(path)

    # the first mel frame that hears it is the one at whose end it is
    near = (found <= times[k]) & (found > times[k] - 0.9)
    windows = extract('logmel', sound, found[near]).astype(np.float32)
    first = (windows.max(axis=2) > -3).argmax(axis=1)
    heard = rows_at(found[near]) / 100 + first / 100 + 0.02
    assert np.abs(heard - times[k])[:-1].max() <= half
    assert first[-1] == 0  # of frame k: it begins with the click

    for name, energy in (('mfcc', 12), ('compare', 8)):
        loudest = found[extract(name, sound, found)[:, energy].argmax()]
        assert abs(loudest - times[k]) <= half

    loudness = extract('egemaps', sound, found)[:, 10]  # mean loudness of the second that starts here
    inside = found[loudness > loudness.max() / 2]
    assert abs(inside.max() - times[k]) <= 2 * half + 0.02
    assert inside.min() >= times[k] - 1.05


@pytest.mark.parametrize('name', NAMES)
def test_chunked_is_whole(tmp_path: Path, spoken: Audio, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.arange(125) / 25
    whole = extract(name, spoken, times).astype(np.float64)
    monkeypatch.setattr(ten_ms_rows, 'SECONDS', 3)
    monkeypatch.setattr(ten_ms_rows, 'BLOCK', 7)
    chunked = extract(name, spoken, times)
    spread = whole.reshape(len(whole), -1).std(axis=0).reshape(whole.shape[1:])
    assert (np.abs(chunked - whole) <= 1e-3 * spread + 1e-6).all()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('seconds', [0.2, 0.011])
def test_very_short_sound(tmp_path: Path, name: str, seconds: float) -> None:
    """Frames after its end are not observed, and zeros."""
    sound = recorded(tmp_path, voice(seconds))
    times = np.array(constant_rate(15))
    rows = extract(name, sound, times)
    observed = build_extractor(name).observed(sound, times)
    assert observed.tolist() == (times < seconds).tolist()
    assert np.isfinite(rows).all()
    assert rows[observed].any()
    assert not rows[~observed].any()


@pytest.mark.parametrize('name', NAMES)
def test_silence_is_finite_and_observed(tmp_path: Path, name: str) -> None:
    sound = recorded(tmp_path, np.zeros(2 * RATE, np.float32))
    times = np.array(constant_rate(60))
    assert np.isfinite(extract(name, sound, times)).all()
    assert build_extractor(name).observed(sound, times).all()


@pytest.mark.parametrize('name', NAMES)
def test_a_video_without_sound(tmp_path: Path, name: str) -> None:
    sound = Audio(write_video(tmp_path / 'a.mp4', plain(5), constant_rate(5)))
    times = np.array(constant_rate(2345))
    assert not extract(name, sound, times).any()
    assert not build_extractor(name).observed(sound, times).any()


@pytest.mark.parametrize('name', ['egemaps', 'mfcc', 'compare'])
def test_full_scale(tmp_path: Path, name: str) -> None:
    """A loud tone that reaches 1 gives what it gives a hair below; turned over it would be noise."""
    tone = np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)
    loud = Audio(write_sound(tmp_path / 'loud.mkv', tone.round(6), RATE, 'pcm_f32le'))
    below = Audio(write_sound(tmp_path / 'below.mkv', tone * 0.9999, RATE, 'pcm_f32le'))
    times = np.array([0.1, 0.5])
    a, b = extract(name, loud, times), extract(name, below, times)
    assert np.abs(a - b).max() <= 0.01 * np.abs(b).max()


def test_frames_before_time_zero(spoken: Audio) -> None:
    """An edit list may show frames before it; they take the first window."""
    rows = extract('logmel', spoken, np.array([-0.04, 0.0, 0.04]))
    np.testing.assert_array_equal(rows[0], rows[1])


@pytest.mark.parametrize('times', [[0.0, 0.2, 0.1], [0.0, float('nan')]])
def test_times_out_of_order(spoken: Audio, times: list[float]) -> None:
    with pytest.raises(DataError, match=rf'frame {len(times) - 1} is shown at .* in order'):
        extract('mfcc', spoken, np.array(times))


def test_the_window_mode_of_egemaps(spoken: Audio) -> None:
    """Each second alone, as openSMILE gives it."""
    import opensmile

    times = np.array([0.0, 1 / 3, 4.5])
    rows = extract('egemaps', spoken, times, mode='window')
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    for row, start in zip(rows, (0, 5333, 72000), strict=True):
        expected = smile.process_signal(spoken.read(start, start + RATE), RATE).to_numpy()[0]
        np.testing.assert_array_equal(row, expected.astype(np.float32))
    other = extract('egemaps', spoken, times)
    assert build_extractor('egemaps').settings() != build_extractor('egemaps', mode='window').settings()
    assert np.abs(other - rows).max() > 0


def test_an_unknown_mode() -> None:
    with pytest.raises(ConfigError, match="mode 'windows'; did you mean 'window'"):
        build_extractor('egemaps', mode='windows')


def test_coefficients_are_those_of_htk(spoken: Audio) -> None:
    """By their definition: pre-emphasis, Hamming, 26 mel bands, logarithm, cosines, lifter; c0 comes last."""
    row = extract('mfcc', spoken, np.array([1.0]))[0]
    samples = spoken.read(RATE, RATE + 400).astype(np.float64) * 32768
    emphasised = np.append(samples[0] * (1 - 0.97), samples[1:] - 0.97 * samples[:-1])
    power = np.abs(np.fft.rfft(emphasised * np.hamming(400), 512)) ** 2
    mel = 1127 * np.log1p(np.arange(257) * RATE / 512 / 700)
    edges = np.linspace(0, 1127 * np.log1p(8000 / 700), 28)
    weights = np.stack([np.interp(mel, edges[i : i + 3], [0, 1, 0], left=0, right=0) for i in range(26)])
    k = np.arange(13)
    basis = np.cos(np.pi * k[:, None] * (np.arange(26) + 0.5) / 26) * np.sqrt(2 / 26)
    expected = basis @ np.log(weights @ power) * (1 + 11 * np.sin(np.pi * k / 22))
    np.testing.assert_allclose(row[:13], np.append(expected[1:], expected[0]), atol=0.01)


def test_deltas_and_accelerations(spoken: Audio) -> None:
    """Slopes by regression over two rows to both sides, and slopes of these."""
    rows = extract('mfcc', spoken, np.arange(100) / 100 + 1)

    def slopes(x: np.ndarray) -> np.ndarray:
        return (x[3:-1] - x[1:-3] + 2 * (x[4:] - x[:-4])) / 10

    np.testing.assert_allclose(rows[2:-2, 13:26], slopes(rows[:, :13]), atol=1e-3)
    np.testing.assert_allclose(rows[2:-2, 26:], slopes(rows[:, 13:26]), atol=1e-3)


def test_deltas_of_voices() -> None:
    """A slope of 3 per row within voiced stretches, nothing outside, and no jump at their ends."""
    ramp = np.zeros((12, 1), np.float32)
    ramp[3:10, 0] = 100 + 3 * np.arange(7)
    slopes = voiced_deltas(ramp)[:, 0]
    np.testing.assert_allclose(slopes[5:8], 3)
    assert not slopes[[0, 1, 2, 3, 9, 10, 11]].any()
    np.testing.assert_allclose(slopes[[4, 8]], 0.6)  # only the nearer pair is voiced: 1 * 6 / 10


def test_deltas_of_voices_do_not_fade(spoken: Audio) -> None:
    times = np.arange(450) / 100
    rows = extract('compare', spoken, times)
    pitch, slope = rows[:, 0], rows[:, 65]
    voiced = np.array([pitch[max(0, i - 2) : i + 3].all() for i in range(len(pitch))])
    voiced[:2] = voiced[-2:] = False
    i = np.flatnonzero(voiced)
    expected = (pitch[i + 1] - pitch[i - 1] + 2 * (pitch[i + 2] - pitch[i - 2])) / 10
    np.testing.assert_allclose(slope[i], expected, atol=1e-3)


@pytest.mark.parametrize('name', ['egemaps', 'mfcc', 'compare'])
def test_opensmile_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'opensmile', None)
    with pytest.raises(
        DataError, match=rf"'{name}' needs opensmile.*pip install -e \.\[features\]"
    ) as caught:
        build_extractor(name).check()
    assert '\n' not in str(caught.value)


def test_pieces_are_small(spoken: Audio) -> None:
    """However many frames fall on a short sound, no piece has more than 1000 rows."""
    times = np.linspace(0, 4.9, 2500)
    pieces = list(build_extractor('logmel').extract(spoken, times))
    assert sum(map(len, pieces)) == 2500
    assert max(map(len, pieces)) <= 1000
    ends = np.cumsum([len(p) for p in pieces])
    assert all(a < b for a, b in pairwise(ends))
