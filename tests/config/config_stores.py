"""Small stores that any config can be checked with, and its model run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config

from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.registry import MODELS
from abawfw.results.predictions import write_predictions

# Features that each data set has; sizes play no part, a config never states one.
FEATURES = {
    # the known features of docs/rucaim3.md, Layout of the data
    'affwild2': (
        *(
            'denseface',
            'affectnet',
            'vggface2',
            'vggish',
            'compare',
            'wav2vec',
            'egemaps',
            'FAU',
            'head_pose',
        ),
        *('eye_gaze', 'FAU_situ'),
    ),
    'ceap360vr': ('lum', 'head', 'gaze'),
}
# The arrays of TAGF's trials (docs/tagf.md, Preprocessing) and stored vectors.
TRIALS = {
    'video': (48, 48, 3),
    'logmel': (96, 64),
    'bert': (768,),
    'video_embedding': (512,),
    'audio_embedding': (128,),
}
TRIAL_TYPES = {'video': 'uint8', 'logmel': 'float16', 'face48': 'uint8'}
# What tools/extract_features.py makes.
EXTRACTED = {
    'face48': (48, 48, 3),
    'face_embedding': (512,),
    'face_onnx': (1280,),
    'logmel': (96, 64),
    'egemaps': (88,),
    'mfcc': (39,),
}


# Whole networks for images and spectrograms take seconds, and give vectors of the same length.
SMALL = {'IResNet': {'units': [1, 1, 1, 1], 'width': 4}, 'VGGish': {'hidden': 8, 'width': 2}}


class DemoStores:
    """A small store for each data set that a config may be for, made when it is first asked for.

    The last part of a config's ``data_root`` says which one; for one that is not known here, a store of
    trials with the config's features.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def of(self, cfg: Config) -> Path:
        """The folder of the store for a loaded config."""
        cfg = resolve(cfg)
        name = Path(cfg.data_root).name
        if not (name in (*FEATURES, 'demo', 'own') or name.endswith('_trials')):
            name = '_'.join([name, *cfg.features])
        root = self.root / name
        if root.exists():
            return root
        if name in FEATURES:
            self._write_rucaim3(root, FEATURES[name])
        elif name == 'demo':
            make_demo_data(root, videos=(2, 2, 1), scale=0.02)
        elif name.endswith('_trials'):
            self._write_trials(root, TRIALS)
        elif name == 'own':
            self._write_trials(root, EXTRACTED)
        else:
            self._write_trials(root, {f: (TRIALS | EXTRACTED).get(f, (8,)) for f in cfg.features})
        return root

    @staticmethod
    def _write_rucaim3(root: Path, features: tuple[str, ...]) -> None:
        with RUCAIM3Writer(root, {f: (2 + i,) for i, f in enumerate(features)}) as writer:
            for partition in ('train', 'val'):
                arrays = {f: np.zeros((6, *dims)) for f, dims in writer.features.items()}
                writer.add(f'video_{partition}', partition, arrays, labels=np.zeros((6, 2)))

    @staticmethod
    def _write_trials(root: Path, features: dict[str, tuple[int, ...]]) -> None:
        types = {feature: dtype for feature, dtype in TRIAL_TYPES.items() if feature in features}
        with TrialWriter(root, features, types) as writer:
            for i in range(7):  # enough for six folds
                arrays = {f: np.zeros((3, *dims), types.get(f)) for f, dims in features.items()}
                writer.add(f'trial_{i}', 'val' if i == 6 else 'train', arrays, labels=np.zeros((3, 2)))


def write_teacher(folder: Path, root: Path, seed: int = 0) -> Path:
    """A run's folder with made-up predictions of the training videos of a store."""
    rng = np.random.default_rng(seed)
    videos = {v.video_id: v.num_frames for v in open_store(root).videos() if v.partition == 'train'}
    for target in ('valence', 'arousal'):
        preds = {video: rng.uniform(-1, 1, n) for video, n in videos.items()}
        write_predictions(folder / 'predictions', 'train', target, preds, None, 1)
    return folder


def _constant(weight: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Initial weights of a mean, which are there at once, unlike millions of random ones."""
    with torch.no_grad():
        return weight.fill_(1 / weight[0].numel())


def check_and_run(path: Path, stores: DemoStores) -> None:
    """A config passes the check, and its model predicts the frames of a batch."""
    cfg = load_config(path)
    cfg.data_root = str(stores.of(cfg))
    check_config(cfg)
    cfg = resolve(cfg)
    for backbone in cfg.model.get('backbones', {}).values():
        backbone.update(SMALL.get(backbone.type, {}))
    loader = build_loader(cfg, 'val_dataloader')
    dims = loader.dataset.input_dims
    with mock.patch('torch.nn.init.kaiming_uniform_', _constant):
        model = MODELS.build(model_config(cfg, dims)).eval()
    assert list(dims) == list(cfg.features)
    loader.batch_sampler.set_epoch(0)
    data = next(iter(loader))
    with torch.no_grad():
        (predicted,) = model(data['inputs'], data['data_samples'], mode='predict')
    for frames, pred in zip(predicted.num_frames, predicted.predictions(), strict=True):
        assert pred.shape == (frames, len(cfg.targets))
        assert torch.isfinite(pred).all()
