"""A run knows the rate of its training, and a video of another rate is computed at it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import ROOT, call
from numpy.typing import NDArray
from random_runs import make_run
from vector_trials import tagf_run, write_vectors

from abawfw.apis import VAInferencer
from abawfw.checkpoint_content import check_content
from abawfw.checkpoints import load_checkpoint, save_checkpoint
from abawfw.datasets.stores import FeatureStore, open_store
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.datasets.stores.frame_rates import ResampledStore, rates_text, resampling, trained_rates
from abawfw.engine.training_state import model_meta
from abawfw.errors import ConfigError

WINDOWS = {'valence': 3, 'arousal': 0}
PARTITIONS = {'a': 'train', 'b': 'train', 'c': 'train', 'd': 'val', 'e': 'test'}
RATES = {'a': 24.0, 'b': 30.0, 'd': 50.0}


@pytest.fixture(scope='module')
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('rates') / 'store'
    return write_vectors(root, {name: (of, 45) for name, of in PARTITIONS.items()}, rates=RATES)


@pytest.fixture(scope='module')
def run(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained at 25 frames per second, with weights drawn at random."""
    folder = tmp_path_factory.mktemp('runs') / 'run'
    return tagf_run(folder, trials, [25.0, 25.0], windows=WINDOWS)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn from the same table, and take longest."""
    module = importlib.import_module('abawfw.apis.infer')  # the room has a function of this name
    monkeypatch.setattr(module, 'draw_curves', lambda path, *_: path.touch())


@pytest.fixture
def inferencer(run: Path) -> VAInferencer:
    return VAInferencer(run, 'cpu')


def test_rates_of_training_are_kept_in_checkpoints(trials: Path, tmp_path: Path) -> None:
    """Of the training videos whose rate is known, and of no others."""
    store = open_store(trials)
    videos = [video for video in store.videos() if video.partition == 'train']
    model = SimpleNamespace(input_dims={'x': 2}, targets=['valence'])
    dataset = SimpleNamespace(store=store, videos=videos, fitted=[])
    cfg = SimpleNamespace(pretty_text='x = 1\n')
    loader = SimpleNamespace(dataset=dataset)
    runner: Any = SimpleNamespace(model=model, train_dataloader=loader, cfg=cfg, seed=0)
    meta = model_meta(runner)
    assert meta['fps'] == [24.0, 30.0]
    path = tmp_path / 'best_ccc_valence_epoch_1.pth'
    save_checkpoint({'meta': meta, 'state_dict': {}}, path)
    assert load_checkpoint(path)['meta']['fps'] == [24.0, 30.0]
    assert trained_rates(store, videos[2:]) is None
    with pytest.raises(ValueError, match=r'meta\.fps\.1 is -1\.0, expected frames per second'):
        check_content({'meta': {**meta, 'fps': [24.0, -1.0]}, 'state_dict': {}})


@pytest.mark.parametrize(
    ('rate', 'trained', 'goal'),
    [
        (30000 / 1001, [30.0, 30.0], None),
        (24000 / 1001, [24.0, 24.0], None),
        (50.0, [25.0, 25.0], 25.0),
        (24.0, [25.0, 25.0], 25.0),
        (27.0, [24.0, 30.0], None),
        (60.0, [24.0, 30.0], 30.0),
        (12.5, [24.0, 30.0], 24.0),
        (1.0, [25.0, 25.0], 25.0),
        (1000.0, [25.0, 25.0], 25.0),
        (50.0, None, None),
    ],
)
def test_which_videos_are_resampled(rate: float, trained: list[float] | None, goal: float | None) -> None:
    times = 3 + np.arange(200) / rate
    grid, note = resampling(times, trained)
    if goal is None:
        assert (grid, note) == (None, None)
        return
    assert trained is not None
    assert grid is not None
    assert note is not None
    np.testing.assert_allclose(np.diff(grid), 1 / goal)
    assert grid[0] == times[0]
    assert times[-1] - 1 / goal < grid[-1] <= times[-1] + 1e-9
    assert rates_text(trained) in note
    assert f'back to the {len(times)} frames' in note


def test_times_that_are_unknown_or_of_no_video() -> None:
    trained = [25.0, 25.0]
    for times in (None, np.zeros(1), np.zeros(5), np.array([0.0, np.nan, 1.0])):
        assert resampling(times, trained) == (None, None)
    jump = np.r_[np.arange(100) / 50, 95443.7 + np.arange(100) / 50]  # a clock of 33 bits that turned over
    grid, note = resampling(jump, trained)
    assert grid is None
    assert 'only 200 frames' in str(note)
    # of milliseconds, and with a frame missing now and then, nothing is made
    rough = np.delete(np.round(np.arange(300) / 25, 3), [40, 41, 120, 230])
    assert resampling(rough, trained) == (None, None)
    # a camera that slows down in the dark
    dark = np.r_[np.arange(100) / 25, 4 + np.arange(100) / 15]
    grid, note = resampling(dark, trained)
    assert grid is not None
    np.testing.assert_allclose(np.diff(grid), 0.04)


def test_masks_and_images_are_the_nearest_and_vectors_lie_between() -> None:
    times = np.arange(8) / 20
    seen = np.array([1, 1, 0, 0, 1, 1, 1, 1], bool)
    vectors = np.array([[0], [1], [50], [50], [4], [5], [6], [7]], np.float32)
    images = np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    inner = ArrayStore('clip', {'v': vectors, 'i': images}, {'v': seen}, times)
    grid = np.array(
        [0.0, 0.025, 0.06, 0.08, 0.125, 0.17, 0.19, 0.26, 0.36]
    )  # frames 0 .5 1.2 1.6 2.5 3.4 3.8 ..
    store = ResampledStore(inner, {'clip': grid})
    assert store.video('clip').num_frames == len(grid)
    found = store.read('clip', 'v', 0, 9)[:, 0]
    np.testing.assert_allclose(found, [0, 0.5, 1, 50, 50, 50, 4, 5.2, 7], atol=1e-5)
    assert store.observed('clip', 'v', 0, 9).tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert store.read('clip', 'i', 0, 9)[:, 0, 0, 0].tolist() == [0, 0, 1, 2, 2, 3, 4, 5, 7]
    for start in range(9):  # any stretch is a stretch of the whole
        np.testing.assert_array_equal(store.read('clip', 'v', start, 9)[:, 0], found[start:])
        assert store.read('clip', 'v', start, start).shape == (0, 1)


def test_tokens_stay_the_tokens_they_are() -> None:
    """Each is repeated for its 30 frames; at another rate there are no others between them."""
    times = np.arange(120) / 30
    tokens = np.repeat(np.array([[3.0], [1.0], [4.0], [1.5]], np.float32), 30, axis=0)
    inner = ArrayStore('clip', {'v': tokens, 't': tokens}, None, times)
    store = ResampledStore(inner, {'clip': 0.02 + np.arange(99) / 25}, ['t'])
    # the last frame of a token but the last lies 0.98 s after its first, 0.6 frames before that of the next
    expected = np.repeat([3.0, 1.0, 4.0, 1.5], [25, 25, 25, 24])
    np.testing.assert_array_equal(store.read('clip', 't', 0, 99)[:, 0], expected)
    assert np.count_nonzero(np.diff(store.read('clip', 'v', 0, 99)[:, 0])) == 6


@pytest.mark.parametrize('encoder', [None, {'type': 'AttentionPooling', 'frames': 5, 'hidden': 4}])
def test_a_run_takes_the_tokens_of_a_video_of_another_rate(
    trials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: dict[str, Any] | None
) -> None:
    """Frames from which an encoder makes tokens lie between others as all frames do."""
    options: dict[str, Any] = {'data_root': str(trials), 'split': {'type': 'OfficialSplit'}, 'hidden': 8}
    if encoder:
        options['model.encoders'] = {'audio_embedding': encoder}
    config = ROOT / 'configs/ras/raav_demo.py'
    inferencer = VAInferencer(make_run(tmp_path / 'run', config, options, fps=[25, 25]), 'cpu')
    stores: list[FeatureStore] = []
    predict = inferencer.trained.predict

    def keeping(partition: str, store: FeatureStore) -> Any:
        stores.append(store)
        return predict(partition, store)

    monkeypatch.setattr(inferencer.trained, 'predict', keeping)
    rng = np.random.default_rng(0)
    audio = np.repeat(rng.normal(size=(8, 5)), 15, axis=0).astype(np.float32)  # 4 s, two tokens a second
    arrays = {'video_embedding': rng.normal(size=(120, 6)).astype(np.float32), 'audio_embedding': audio}
    inferencer.predict_arrays(arrays, fps=30)
    frames = stores[0].videos()[0].num_frames
    found = stores[0].read('arrays', 'audio_embedding', 0, frames)
    runs = 1 + np.count_nonzero((np.diff(found, axis=0) != 0).any(axis=1))
    assert runs == 8 if encoder is None else runs > 8


HERTZ = 0.5
LENGTH = 25
"""The response that is known: the mean over the present frame and 24 before it, a second at 25 per second."""


def signal(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.8 * np.sin(2 * np.pi * HERTZ * times)


def response(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """To the signal at 25 frames per second, at any time."""
    return np.mean([signal(times - k / 25) for k in range(LENGTH)], axis=0)


class MeanOverASecond:
    """In place of networks: reads the first feature of a store and answers frame by frame."""

    def __init__(self, store_seen: Callable[[FeatureStore], None]) -> None:
        self._seen = store_seen

    def predict(self, partition: str, store: FeatureStore) -> dict[str, Any]:
        self._seen(store)
        name = store.videos()[0].video_id
        x = store.read(name, 'video_embedding', 0, store.video(name).num_frames)[:, 0]
        sums = np.cumsum(np.r_[np.zeros(LENGTH), x])
        curve = ((sums[LENGTH:] - sums[:-LENGTH]) / LENGTH).astype(np.float32)
        return {target: ({name: curve}, {}) for target in ('valence', 'arousal')}


def uneven() -> NDArray[np.float64]:
    """Stretches of 15, 30 and 40 frames per second, none of them for long."""
    steps = np.concatenate([np.full(int(1.3 * rate), 1 / rate) for rate in (30, 15, 40, 15, 30, 15)])
    return np.r_[0, np.cumsum(steps)]


@pytest.mark.parametrize(
    ('times', 'gap'),
    [
        pytest.param(np.arange(200) / 25, 0.0, id='25'),
        pytest.param(np.arange(400) / 50, 0.0, id='50'),
        pytest.param(np.arange(240) / 30, 1 / 30, id='30'),
        pytest.param(np.arange(120) / 15, 1 / 15, id='15'),
        pytest.param(uneven(), 1 / 15, id='variable'),
    ],
)
def test_the_same_curve_in_time_at_any_rate(
    inferencer: VAInferencer, times: NDArray[np.float64], gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the bound on linear interpolation of the signal between frames, and of the curve back."""
    stores: list[FeatureStore] = []
    monkeypatch.setattr(inferencer, 'trained', SimpleNamespace(
        networks=inferencer.trained.networks, predict=MeanOverASecond(stores.append).predict
    ))  # fmt: skip
    arrays = {
        'video_embedding': np.repeat(signal(times)[:, None], 6, axis=1).astype(np.float32),
        'audio_embedding': np.ones((len(times), 5), np.float32),
    }
    table = inferencer.predict_arrays(arrays, times=times)
    assert isinstance(stores[0], ResampledStore) == (len(times) != 200)
    curvature = 0.8 * (2 * np.pi * HERTZ) ** 2
    bound = curvature * (gap**2 + 0.04**2) / 8
    late = slice(np.searchsorted(times, 1.0), np.searchsorted(times, times[-1] - 0.04))
    error = np.abs(table.valence_raw.to_numpy() - response(times))[late].max()
    assert error <= bound + 1e-5
    assert np.ptp(response(times)[late]) > 100 * bound / 5  # which says something
    np.testing.assert_array_equal(table.index, times)
    # windows of smoothing count frames of training: 3 before and after, 0.12 s, which lower a sine a little
    lower = np.mean([np.cos(2 * np.pi * HERTZ * k / 25) for k in range(-3, 4)])
    whole = slice(np.searchsorted(times, 1.2), np.searchsorted(times, times[-1] - 0.2))
    assert np.abs(table.valence.to_numpy() - lower * response(times))[whole].max() <= bound + 1e-5


def test_networks_see_the_frames_of_training(inferencer: VAInferencer, run: Path) -> None:
    """Every second frame of a video of 50 per second is one of 25; stores and arrays alike."""
    rng = np.random.default_rng(1)
    dims = {'video_embedding': 6, 'audio_embedding': 5}
    arrays = {f: rng.normal(size=(90, d)).astype(np.float32) for f, d in dims.items()}
    fast = inferencer.predict_arrays(arrays, fps=50)
    slow = inferencer.predict_arrays({f: a[::2] for f, a in arrays.items()}, fps=25)
    for column in ('valence', 'arousal', 'valence_raw', 'arousal_raw'):
        np.testing.assert_allclose(fast[column].iloc[::2], slow[column], atol=1e-6)
        between = (slow[column].to_numpy()[:-1] + slow[column].to_numpy()[1:]) / 2
        np.testing.assert_allclose(fast[column].iloc[1:-1:2], between, atol=1e-6)
    store = open_store(inferencer.cfg.data_root)
    whole = {f: store.read('d', f, 0, 45) for f in dims}
    expected = inferencer.predict_arrays(whole, fps=50)
    of_store = inferencer.predict_store(store)
    np.testing.assert_allclose(of_store['d'].valence, expected.valence, atol=1e-6)
    assert len(of_store['e']) == 45  # whose rate is unknown
    note = inferencer.check_video(store, 'd')[0]
    assert note.startswith('50 frames per second, trained at 25 frames per second')
    assert inferencer.check_video(store, 'e') == []


@pytest.mark.usefixtures('without_figures')
def test_what_is_said(run: Path, trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The rate of training once, what was resampled with each video; words beside the values."""
    found = call(capfd, 'infer', trials, run, '--out', tmp_path, '--words', '--device', 'cpu')
    assert found.code == 0, found.err
    assert found.out.count('\ntrained at 25 frames per second\n') == 1
    assert found.out.count('note: 50 frames per second, trained at 25') == 1
    content = json.loads((tmp_path / 'd.va.json').read_text())
    assert content['trained_fps'] == [25, 25]
    assert 'Russell & Mehrabian (1977)' in content['words']
    assert any('features were resampled to 25, 23 frames' in note for note in content['notes'])
    assert len(content['frames']) == 45
    assert {frame['word'] for frame in content['frames']} <= {'neutral', 'quiet', 'untroubled', 'surprised'}
    rows = (tmp_path / 'd.va.csv').read_text().splitlines()
    assert rows[0].endswith(',face,word')
    assert rows[1].rpartition(',')[2] == content['frames'][0]['word']


@pytest.mark.usefixtures('without_figures')
def test_runs_of_before_take_videos_as_they_are(
    trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = tagf_run(tmp_path / 'old', trials, windows=WINDOWS, targets=['valence'])
    inferencer = VAInferencer(old, 'cpu')
    assert inferencer.fps is None
    assert inferencer.check_video(open_store(trials), 'd') == []
    found = call(capfd, 'infer', trials, old, '--out', tmp_path)
    assert found.code == 0, found.err
    assert found.out.count('an unknown frame rate: videos are taken as they are') == 1
    assert json.loads((tmp_path / 'd.va.json').read_text())['trained_fps'] is None
    with pytest.raises(ConfigError, match='words need valence and arousal'):
        VAInferencer(old, 'cpu', words=True)
