"""The inferencer gives the numbers of tools/test.py, and says what is wrong with what it is given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ROOT, call
from random_runs import make_run
from vector_trials import TINY_TAGF, tagf_run, write_vectors

from abawfw.apis import VAInferencer
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.errors import CheckpointError, ConfigError, DataError
from abawfw.prediction_files import read_predictions

RUCAIM3 = ['affectnet', 'egemaps']
SMALL = {'hidden': 16, 'regressor': [8], 'segment_length': 40, 'features': RUCAIM3}
LENGTHS = {'a': ('train', 31), 'b': ('val', 45), 'c': ('val', 7), 'd': ('test', 20), 'e': ('test', 21)}


def observed(name: str, length: int) -> dict[str, np.ndarray]:
    """Gaps in the faces, and sound that starts late in one video."""
    late = {'audio_embedding': np.arange(length) > 3} if name == 'b' else {}
    return {'video_embedding': np.arange(length) % 7 < 5} | late


@pytest.fixture(scope='module')
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shorter and longer than a window, with gaps in what was observed."""
    root = tmp_path_factory.mktemp('trials') / 'store'
    half = {'audio_embedding': 'float16'}
    return write_vectors(root, LENGTHS, dtypes=half, valid=observed, rates={'b': 25.0})


@pytest.fixture(scope='module', params=['transformer', 'fclstm_xl', 'tagf'])
def run(
    request: pytest.FixtureRequest,
    demo_data: Path,
    trials: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp('runs') / request.param
    if request.param == 'tagf':
        return tagf_run(folder, trials)
    return rucaim3_run(folder, request.param, demo_data)


def rucaim3_run(folder: Path, name: str, data_root: Path) -> Path:
    options = {**SMALL, 'data_root': str(data_root)}
    if name == 'transformer':
        options |= {'heads': 2, 'ffn': 16, 'layers': 1}
    return make_run(folder, ROOT / f'configs/rucaim3/{name}_demo.py', options)


def arrays_of(store: Any, video: Any, features: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    whole = video.video_id, 0, video.num_frames
    arrays = {f: store.read(whole[0], f, *whole[1:]) for f in features}
    return arrays, {f: store.observed(whole[0], f, *whole[1:]) for f in features}


def test_numbers_of_tools_test(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From the store and from arrays; carried state, windows that overlap, short videos, masks."""
    found = call(capfd, 'test', run, '--out', tmp_path)
    assert found.code == 0, found.err
    inferencer = VAInferencer(run, device='cpu')
    store = open_store(inferencer.cfg.data_root)
    tables = inferencer.predict_store(store)
    assert list(tables) == [v.video_id for v in store.videos()]
    compared = 0
    for target in ('valence', 'arousal'):
        files = {
            ('val', 'raw'): read_predictions(tmp_path, 'val', target, raw=True).preds,
            ('val', ''): read_predictions(tmp_path, 'val', target, smoothed=True).preds,
            ('test', ''): read_predictions(tmp_path, 'tst', target, smoothed=True).preds,
        }
        for (partition, kind), preds in files.items():
            column = f'{target}_{kind}'.removesuffix('_')
            for video in (v for v in store.videos() if v.partition == partition):
                expected = preds[video.video_id]
                assert np.ptp(expected) > 0 or not kind  # smoothed over all of a short video
                np.testing.assert_allclose(tables[video.video_id][column], expected, rtol=0, atol=1e-6)
                arrays, observed = arrays_of(store, video, inferencer.features)
                table = inferencer.predict_arrays(arrays, fps=30, observed=observed)
                np.testing.assert_allclose(table[column], expected, rtol=0, atol=1e-6)
                compared += 1
    assert compared >= 6


def test_state_is_carried_over_segments(demo_data: Path, tmp_path: Path) -> None:
    """The second segment of a stateful model depends on the first; that of a stateless one does not."""
    for name, carried in (('fclstm_xl', True), ('transformer', False)):
        inferencer = VAInferencer(rucaim3_run(tmp_path / name, name, demo_data), device='cpu')
        rng = np.random.default_rng(0)
        dims = {f: d.dims for f, d in open_store(demo_data).features().items()}
        arrays = {f: rng.normal(size=(70, *dims[f])).astype(np.float32) for f in inferencer.features}
        other = {f: a.copy() for f, a in arrays.items()}
        for values in other.values():
            values[:40] = rng.normal(size=values[:40].shape)
        a, b = (inferencer.predict_arrays(x, fps=30).valence_raw.to_numpy()[40:] for x in (arrays, other))
        assert (np.abs(a - b).max() > 1e-4) is np.bool_(carried)
        # and a second call starts from nothing again
        again = inferencer.predict_arrays(arrays, fps=30).valence_raw.to_numpy()[40:]
        np.testing.assert_array_equal(a, again)


def test_tables(trials: Path, tmp_path: Path) -> None:
    run = tagf_run(tmp_path / 'run', trials, windows={'valence': 2, 'arousal': 0})
    inferencer = VAInferencer(run, device='cpu')
    assert {t: p.window for t, p in inferencer.postprocess.items()} == {'valence': 2, 'arousal': 0}
    table = inferencer.predict_store(trials)['b']
    columns = ['frame', 'valence', 'arousal', 'valence_raw', 'arousal_raw', 'face']
    assert list(table.columns) == columns
    assert table.index.name == 'time'
    np.testing.assert_allclose(table.index, np.arange(45) / 25)
    np.testing.assert_array_equal(table.frame, np.arange(45))
    raw = table.valence_raw.to_numpy()
    assert table.valence.iloc[10] == pytest.approx(np.clip(raw[8:13].mean(), -1, 1))
    np.testing.assert_array_equal(table.arousal, np.clip(table.arousal_raw, -1, 1))
    np.testing.assert_array_equal(table.face, np.arange(45) % 7 < 5)  # whatever was heard
    assert inferencer.predict_store(trials)['a'].index.isna().all()  # no frame rate known


def test_times_beside_the_features(trials: Path, tmp_path: Path) -> None:
    store = shutil.copytree(trials, tmp_path / 'store')
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 45))
    np.save(store / 'b/frame_times.npy', times)
    run = tagf_run(tmp_path / 'run', store)
    np.testing.assert_array_equal(VAInferencer(run, 'cpu').predict_store(store)['b'].index, times)
    np.save(store / 'b/frame_times.npy', times[1:])
    with pytest.raises(DataError, match=r'frame_times\.npy: float64 of shape \(44,\), expected float64 of'):
        VAInferencer(run, 'cpu').predict_store(store)


def test_one_target_one_column(trials: Path, tmp_path: Path) -> None:
    run = tagf_run(tmp_path / 'run', trials, targets=['arousal'])
    table = VAInferencer(run, 'cpu').predict_store(trials)['c']
    assert list(table.columns) == ['frame', 'arousal', 'arousal_raw', 'face']


def test_optional_feature_may_be_absent(trials: Path, tmp_path: Path) -> None:
    options = {**TINY_TAGF, 'data_root': str(trials), 'optional': ['audio_embedding']}
    run = make_run(tmp_path / 'run', ROOT / 'configs/tagf/can_embeddings_affwild2.py', options)
    rng = np.random.default_rng(0)
    vision = rng.normal(size=(9, 6)).astype(np.float32)
    inferencer = VAInferencer(run, 'cpu')
    alone = inferencer.predict_arrays({'video_embedding': vision}, fps=30)
    sound = np.zeros((9, 5), np.float16)
    both = inferencer.predict_arrays(
        {'video_embedding': vision, 'audio_embedding': sound},
        fps=30,
        observed={'audio_embedding': np.zeros(9, dtype=bool)},
    )
    np.testing.assert_allclose(alone.valence_raw, both.valence_raw, atol=1e-6)


@pytest.fixture(scope='module')
def tagf(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> VAInferencer:
    folder = tmp_path_factory.mktemp('tagf') / 'run'
    return VAInferencer(tagf_run(folder, trials), 'cpu')


def good(length: int = 9) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        'video_embedding': rng.normal(size=(length, 6)).astype(np.float32),
        'audio_embedding': rng.normal(size=(length, 5)).astype(np.float16),
    }


def test_one_frame(tagf: VAInferencer) -> None:
    table = tagf.predict_arrays(good(1), times=[0.5])
    assert np.isfinite(table[['valence', 'arousal']].to_numpy(float)).all()
    assert list(table.index) == [0.5]


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (
            {'audio_embedding': None},
            {},
            r'needs video_embedding, audio_embedding, and audio_emb',
        ),
        ({'mfcc': np.zeros((9, 39))}, {}, r"knows no feature 'mfcc'"),
        (
            {'video_embedding': np.zeros((8, 6), np.float32)},
            {},
            'numbers of frames: video_embedding 8',
        ),
        ({'video_embedding': np.zeros(9)}, {}, r'shape \(9,\), expected numbers \(frames, dims\)'),
        ({'video_embedding': np.full((9, 6), 'x')}, {}, 'expected numbers'),
        ({'video_embedding': np.full((9, 6), np.nan)}, {}, "'video_embedding' of video 'arrays' is NaN"),
        ({}, {'fps': None}, 'give either the times of the frames in seconds, or fps'),
        ({}, {'times': np.arange(9)}, 'give either'),
        ({}, {'fps': 0}, 'fps=0'),
        ({}, {'fps': np.inf}, 'fps=inf'),
        ({}, {'fps': None, 'times': np.zeros(9)}, 'frame 1 is shown at 0 s, frame 0 at 0 s'),
        (
            {'video_embedding': np.zeros((9, 4, 5, 3), int)},
            {},
            "'video_embedding' holds images, 4x5x3 int64: give",
        ),
        ({'video_embedding': np.zeros((9, 4, 5, 3), np.float32)}, {}, 'holds images, 4x5x3 float32'),
        ({}, {'fps': None, 'times': np.arange(8)}, r'9 frames, but times of shape \(8,\)'),
        ({}, {'fps': None, 'times': np.arange(9)[::-1]}, 'frame 1 is shown at 7 s, frame 0 at 8 s'),
        ({}, {'observed': {'video': np.ones(9, bool)}}, "observed has 'video'"),
        ({}, {'observed': {'video_embedding': np.ones(9)}}, 'expected bool of shape'),
    ],
)
def test_refused_arrays(
    tagf: VAInferencer, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    arrays = {f: a for f, a in {**good(), **change}.items() if a is not None}
    with pytest.raises(DataError, match=message):
        tagf.predict_arrays(arrays, **{'fps': 30, **options})


def test_refused_sizes_and_stores(tagf: VAInferencer, demo_data: Path) -> None:
    with pytest.raises(CheckpointError, match='trained with input_dims'):
        tagf.predict_arrays({**good(), 'video_embedding': np.zeros((9, 7), np.float32)}, fps=30)
    with pytest.raises(DataError, match='there is no frame'):
        tagf.predict_arrays(good(0), fps=30)
    with pytest.raises(DataError, match="no feature 'video_embedding'"):
        tagf.predict_store(demo_data)
    with pytest.raises(DataError, match='holds images, 4x5x3 float16: give them as uint8'):
        tagf.predict_store(ArrayStore('v', {**good(), 'video_embedding': np.zeros((9, 4, 5, 3), np.float16)}))


def test_what_is_no_run(tmp_path: Path, tagf: VAInferencer) -> None:
    with pytest.raises(ConfigError, match='no such config file'):
        VAInferencer(tmp_path)
    with pytest.raises(ConfigError, match="device 'cuda:77': "):
        VAInferencer(tagf.run, 'cuda:77')
    (tmp_path / 'config.py').write_text((tagf.run / 'config.py').read_text())
    with pytest.raises(CheckpointError, match='no best_ccc_valence_epoch'):
        VAInferencer(tmp_path, 'cpu')


def test_the_package_alone_is_cheap() -> None:
    heavy = "[m for m in ('torch', 'pandas', 'mmengine') if m in sys.modules]"
    code = f'import sys, abawfw.apis; print({heavy})'
    found = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == '[]\n'
    import abawfw.apis

    assert abawfw.apis.VAInferencer is VAInferencer

    with pytest.raises(AttributeError, match='Inference'):
        _ = abawfw.apis.Inference
