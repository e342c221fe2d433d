"""Runs that were never trained: random weights in place of learnt ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from abawfw.apis.build import build_loader, model_config
from abawfw.checkpoints import save_checkpoint
from abawfw.config.loading import resolve
from abawfw.datasets.stores import FeatureStore
from abawfw.files import write_text
from abawfw.models import VAEstimator
from abawfw.registry import MODELS
from abawfw.results.run import CONFIG


def random_run(run: Path, cfg: Config, store: FeatureStore | None = None, **meta: Any) -> Path:
    """A work_dir whose statistics are those of training, with other weights for each target.

    Args:
        run: folder to make.
        cfg: loaded config, references not resolved.
        store: with the training videos; None: that of the config.
        meta: what else the checkpoints hold of the run.
    """
    resolved = resolve(cfg)
    dataset = build_loader(resolved, 'train_dataloader', store=store).dataset
    models = []
    for seed, _ in enumerate(resolved.targets):
        torch.manual_seed(seed)
        models.append(MODELS.build(model_config(resolved, dataset.input_dims)))
        models[-1].init_weights()
    return write_run(run, cfg, models, dataset.fitted, **meta)


def write_run(
    run: Path,
    cfg: Config,
    models: Iterable[VAEstimator],
    fitted: Iterable[Mapping[str, Sequence[Any]]],
    **meta: Any,
) -> Path:
    """A work_dir as training leaves it: a config, and a best checkpoint per target.

    Args:
        run: folder to make.
        cfg: loaded config, references not resolved.
        models: a network for each target.
        fitted: statistics of each transform that has some: mean and standard deviation by feature.
        meta: what else the checkpoints hold of the run.
    """
    run.mkdir(parents=True)
    write_text(run / CONFIG, cfg.pretty_text)
    statistics = [{name: [*map(torch.as_tensor, x)] for name, x in of.items()} for of in fitted]
    for target, model in zip(resolve(cfg).targets, models, strict=True):
        known = {
            'input_dims': dict(model.input_dims),
            'targets': list(model.targets),
            'config': cfg.pretty_text,
            'fitted': statistics,
        }
        checkpoint = {'meta': known | meta, 'state_dict': model.state_dict()}
        save_checkpoint(checkpoint, run / f'best_ccc_{target}_epoch_1.pth')
    return run
