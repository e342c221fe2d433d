"""Runs that are complete but for their training: random weights, a best checkpoint per target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from abawfw.apis.build import build_loader, model_config
from abawfw.checkpoints import save_checkpoint
from abawfw.config.loading import load_config, resolve
from abawfw.engine.training_state import _saved
from abawfw.registry import MODELS


def make_run(
    folder: Path,
    config: Path,
    overrides: dict[str, Any],
    extraction: dict[str, Any] | None = None,
    fps: list[float] | None = None,
) -> Path:
    """A work_dir as tools/train.py leaves it, with other weights for each target."""
    cfg = load_config(config, overrides)
    folder.mkdir()
    (folder / 'config.py').write_text(cfg.pretty_text)
    cfg = resolve(cfg)
    dataset = build_loader(cfg, 'train_dataloader').dataset
    for seed, target in enumerate(cfg.targets):
        torch.manual_seed(seed)
        model = MODELS.build(model_config(cfg, dataset.input_dims))
        model.init_weights()
        meta = {
            'input_dims': dict(dataset.input_dims),
            'targets': list(cfg.targets),
            'fitted': _saved(dataset.fitted),
            'extraction': extraction or {},
        } | ({} if fps is None else {'fps': fps})
        save_checkpoint(
            {'meta': meta, 'state_dict': model.state_dict()},
            folder / f'best_ccc_{target}_epoch_{seed + 1}.pth',
        )
    return folder
