"""Trained runs that take a video frame by frame give what testing gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved_runs import TINY_CHANNELS, TINY_PIXELS, TINY_RUCAIM3, TINY_TRANSFORMER, save_run

from abawfw.apis.build import build_loader
from abawfw.apis.stream import VAStream
from abawfw.apis.trained_run import load_run, predict_together
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.errors import ConfigError, DataError

FRAMES = 50
VECTORS = {'video_embedding': 5, 'audio_embedding': 4}
SOUND = {'affectnet': 5, 'vggish': 3}
RUNS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    'mamba_carried': ('mamba_va/mamba_carried_demo', SOUND, TINY_RUCAIM3),
    'mamba_va': ('mamba_va/mamba_va_demo', {'video_embedding': 5}, {'channels': [6, 5], 'masked': True}),
    'fclstm_xl': ('rucaim3/fclstm_xl_demo', SOUND, TINY_RUCAIM3),
    'can': ('tagf/can_demo', VECTORS, {**TINY_CHANNELS, 'normalized': ['audio_embedding'], 'masked': True}),
    'lfan': (
        'tagf/lfan_demo',
        {**VECTORS, 'bert': 6},
        {**TINY_CHANNELS, 'text_channels': [5, 6], 'normalized': ['bert'], 'optional': ['bert']},
    ),
}


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp('runs')
    return {
        name: save_run(folder, config, dims, separate=name == 'can', **values)
        for name, (config, dims, values) in RUNS.items()
    }


def arrays(name: str, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    dims = RUNS[name][1]
    values = {f: rng.normal(0.5, 2, (FRAMES, dim)).astype(np.float32) for f, dim in dims.items()}
    observed = {f: rng.random(FRAMES) < 0.7 for f in dims}
    return values, observed


def offline(run: Path, values: dict[str, np.ndarray], observed: dict[str, np.ndarray]) -> np.ndarray:
    """What testing predicts: in segments where state is carried, else in one window as long as the video."""
    loaded = load_run(run)
    dataset = loaded.cfg.val_dataloader.dataset
    if dataset.clips.type == 'SlidingWindow':
        dataset.clips.length = dataset.clips.hop = FRAMES
        dataset.pipeline = [t for t in dataset.pipeline if t.type != 'PadTo']
    store = ArrayStore('pushed', values, observed)
    loader = build_loader(loaded.cfg, 'val_dataloader', 'test', loaded.fitted, store)
    parts = []
    for network in loaded.networks:
        (video,) = predict_together([network.model], loader)[0].values()
        parts.append(video.pred[:, network.columns])
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize('name', RUNS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, FRAMES), max_size=8), seed=st.integers(0, 20))
def test_equals_testing(runs: dict[str, Path], name: str, cuts: list[int], seed: int) -> None:
    values, observed = arrays(name, seed)
    expected = offline(runs[name], values, observed)
    stream = VAStream(runs[name])
    assert stream.targets == ('valence', 'arousal')
    assert expected.std(axis=0).min() > 1e-3
    found = [
        stream.push({f: x[part] for f, x in values.items()}, {f: o[part] for f, o in observed.items()})
        for part in np.split(np.arange(FRAMES), sorted(cuts))
    ]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-5)


def test_what_was_observed_counts_for_runs_trained_with_it(runs: dict[str, Path]) -> None:
    for name, counts in (('can', True), ('lfan', False)):
        values, observed = arrays(name, 1)
        stream = VAStream(runs[name])
        with_mask = stream.push(values, observed)
        stream.reset()
        assert (np.abs(stream.push(values) - with_mask).max() > 1e-3) == counts


def test_frame_by_frame_after_another_video(runs: dict[str, Path]) -> None:
    stream = VAStream(runs['fclstm_xl'])
    values, observed = arrays('fclstm_xl', 2)
    stream.push(arrays('fclstm_xl', 3)[0])
    stream.reset()
    found = [stream.push({f: x[i : i + 1] for f, x in values.items()}) for i in range(FRAMES)]
    expected = offline(runs['fclstm_xl'], values, observed)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-5)


def test_pixels_are_cropped_and_stay_bytes(tmp_path: Path) -> None:
    dims = {'video': (40, 40, 3), 'logmel': (96, 64)}
    run = save_run(tmp_path, 'tagf/can_affwild2', dims, **TINY_PIXELS, optional=['logmel'])
    stream = VAStream(run)
    faces = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 3), dtype=np.uint8)
    found = stream.push({'video': faces})
    inner = torch.from_numpy(faces[:, 4:44, 4:44].copy())[None]
    model = load_run(run).networks[0].model
    with torch.no_grad():
        expected = model({'video': inner}).va[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_an_optional_feature_is_there_from_the_beginning_or_never(runs: dict[str, Path]) -> None:
    values, _ = arrays('lfan', 0)
    without = {f: x for f, x in values.items() if f != 'bert'}
    stream = VAStream(runs['lfan'])
    assert stream.push(without).shape == (FRAMES, 2)
    with pytest.raises(DataError, match='began with video_embedding, audio_embedding and goes on with'):
        stream.push(values)
    stream.reset()
    assert stream.push(values).shape == (FRAMES, 2)


def test_bad_input(runs: dict[str, Path]) -> None:
    stream = VAStream(runs['can'])
    values, observed = arrays('can', 0)
    stream.push(values)
    with pytest.raises(DataError, match='frame 50: the run needs audio_embedding'):
        stream.push({'video_embedding': values['video_embedding']})
    with pytest.raises(DataError, match=r'no feature .video_embeding.*video_embedding'):
        stream.push({**values, 'video_embeding': values['video_embedding']})
    with pytest.raises(DataError, match='50 frames of video_embedding, but 49 of audio_embedding'):
        stream.push({**values, 'audio_embedding': values['audio_embedding'][1:]})
    with pytest.raises(DataError, match='but 49 of observed of video_embedding'):
        stream.push(values, {'video_embedding': observed['video_embedding'][1:]})
    with pytest.raises(DataError, match=r'audio_embedding is of size \(3,\), the run needs \(4,\)'):
        stream.push({**values, 'audio_embedding': values['audio_embedding'][:, 1:]})
    values['video_embedding'][7, 1] = np.nan
    with pytest.raises(DataError, match=r'video_embedding.* NaN .*first in frame 57'):
        stream.push(values)


@pytest.mark.parametrize(
    ('config', 'dims', 'values', 'reason'),
    [
        ('rucaim3/transformer_demo', SOUND, TINY_TRANSFORMER, 'TransformerContext: every frame attends'),
        ('tagf/tagf_embeddings_demo', VECTORS, TINY_CHANNELS, 'CoAttentionFusion: co-attention compares'),
        (
            'rucaim3/fclstm_xl_demo',
            SOUND,
            {**TINY_RUCAIM3, 'normalize.method': 'sequence'},
            "Normalize: the statistics of method 'sequence' are those of the whole video",
        ),
    ],
    ids=['transformer', 'tagf', 'sequence'],
)
def test_others_refuse(
    tmp_path: Path, config: str, dims: dict[str, int], values: dict[str, Any], reason: str
) -> None:
    run = save_run(tmp_path, config, dims, **values)
    with pytest.raises(ConfigError, match=f'cannot run frame by frame.*{reason}'):
        VAStream(run)


def test_what_is_no_run(tmp_path: Path, runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match='no such run'):
        VAStream(tmp_path / 'absent')
    with pytest.raises(ConfigError, match='give either'):
        VAStream(runs['can'], runs['can'] / 'best_ccc_valence_epoch_1.pth')


def test_a_config_and_a_checkpoint(runs: dict[str, Path]) -> None:
    run = runs['lfan']
    stream = VAStream(run / 'config.py', run / 'best_ccc_valence_epoch_1.pth')
    values, _ = arrays('lfan', 0)
    np.testing.assert_array_equal(stream.push(values), VAStream(run).push(values))
