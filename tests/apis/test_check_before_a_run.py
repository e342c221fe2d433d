"""What is said against a store before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import ROOT
from vector_trials import write_vectors

from abawfw.apis.check import check_config
from abawfw.config.loading import load_config
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import ConfigError
from abawfw.models.heads.va_head import VAHead

CONFIG = ROOT / 'configs/tagf/tagf_embeddings_affwild2.py'


def test_optional_features_may_be_absent(tmp_path: Path) -> None:
    with TrialWriter(tmp_path / 'store', {'video_embedding': (512,)}) as writer:
        writer.add('v', 'train', {'video_embedding': np.zeros((3, 512))}, np.zeros((3, 2)))
    overrides = {'data_root': str(tmp_path / 'store')}
    with pytest.raises(ConfigError, match="has no feature 'audio_embedding'"):
        check_config(load_config(CONFIG, overrides))
    check_config(load_config(CONFIG, {**overrides, 'optional': ['audio_embedding']}))
    with pytest.raises(ConfigError, match="has no feature 'audio_embedding'"):
        check_config(load_config(CONFIG, {**overrides, 'optional': ['video_embedding']}))


@pytest.fixture(scope='module')
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('trials') / 'store'
    trials = {f'v{i}': ('train' if i < 5 else 'val', 9) for i in range(6)}
    return write_vectors(root, trials, {'video_embedding': (512,), 'audio_embedding': (128,)})


DATASETS = 'train_dataloader.dataset, val_dataloader.dataset: '


@pytest.mark.parametrize(
    ('key', 'value', 'problem'),
    [
        ('fold', 6, 'fold: must be 5 or less, not 6 (fold of RolledKFold)'),
        ('fold', 'x', "fold: must be a whole number, not 'x' (fold of RolledKFold)"),
        ('debug', 0, 'debug: must be 1 or more, not 0 (debug of ClipDataset)'),
        ('hop', 400, DATASETS + 'clips: SlidingWindow(length=300, hop=400): hop must lie in 1 .. length'),
        ('window', 0, 'window: must be 1 or more, not 0 (length of SlidingWindow, length of PadTo, '),
        ('window', 'wide', "window: must be a whole number, not 'wide' (length of SlidingWindow, "),
        ('normalized', ['bert'], DATASETS + "Normalize(features=...): 'bert' is not loaded"),
        ('val_dataloader.dataset.partition', 'vall', "val_dataloader.dataset.partition: 'vall': a run is"),
        ('time_mix', 'fourier', "model.fusion: CoAttentionFusion has no time_mix='fourier'"),
        ('gate', 'nonsense', "model.fusion: CoAttentionFusion has no gate='nonsense'"),
        ('targets', ['arousal', 'valence'], 'model: targets must be valence, arousal or both in this order'),
    ],
)
def test_a_value_that_a_component_refuses(trials: Path, key: str, value: Any, problem: str) -> None:
    cfg = load_config(CONFIG, {'data_root': str(trials), key: value})
    with pytest.raises(ConfigError) as error:
        check_config(cfg, training=True)
    title, line = str(error.value).splitlines()
    assert title == f'{CONFIG}: 1 problem'
    assert line.startswith(f'  {problem}')
    if line.startswith(('  train', '  val', '  model')):
        check_config(cfg)  # only training needs videos of both partitions, and a model


def test_a_prior_of_an_unknown_modality(trials: Path) -> None:
    cfg = load_config('ras/raav_demo.py', {'data_root': str(trials), 'priors': {'face': 1}})
    with pytest.raises(
        ConfigError, match=r'model.fusion: ReliabilityFusion: priors name face, which the gate'
    ):
        check_config(cfg, training=True)


def test_noise_would_make_every_frame_a_token(trials: Path) -> None:
    def problems(encoders: dict[str, Any], **noise: Any) -> list[str]:
        pipeline = [{'type': 'LoadFeatures'}, {'type': 'Noise', 'std': 0.1, **noise}, {'type': 'PackVA'}]
        changes = {'train_dataloader.dataset.pipeline': pipeline, 'model.encoders': encoders}
        try:
            check_config(
                load_config('ras/raav_demo.py', {'data_root': str(trials), **changes}), training=True
            )
        except ConfigError as error:
            return str(error).splitlines()[1:]
        return []

    (line,) = problems({})
    assert 'Noise would make each frame of audio_embedding a token' in line
    assert line.endswith('name the other features, features=[...]')
    assert problems({}, features=['video_embedding']) == []
    assert problems({'audio_embedding': {'type': 'AttentionPooling', 'frames': 3}}) == []


def test_misspelt_names_come_first(trials: Path) -> None:
    with pytest.raises(ConfigError) as error:
        check_config(
            load_config(CONFIG, {'data_root': str(trials), 'hop': 400, 'model.typ': 1}), training=True
        )
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith('  model.typ: VAEstimator has no such argument')


def test_a_good_run_is_built_without_memory_or_a_pass_over_the_data(
    trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError('the check reads the data or draws weights')

    monkeypatch.setattr('abawfw.datasets.transforms.normalize.Normalize.fit', refuse)
    monkeypatch.setattr('abawfw.models.estimator.VAEstimator.init_weights', refuse)
    devices: set[str] = set()
    loss = VAHead.__init__

    def built(self: VAHead, *args: Any, **options: Any) -> None:
        devices.add(torch.empty(1).device.type)
        loss(self, *args, **options)

    monkeypatch.setattr(VAHead, '__init__', built)
    state = torch.random.get_rng_state()
    overrides = {'data_root': str(trials), 'normalized': ['audio_embedding']}
    check_config(load_config(CONFIG, overrides), training=True)
    assert devices == {'meta'}
    assert torch.equal(torch.random.get_rng_state(), state)
