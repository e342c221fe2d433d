"""Runs that were never trained: a config, and checkpoints of random weights as training writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from command_line import ROOT

from abawfw.apis.build import model_config
from abawfw.config.loading import load_config, resolve
from abawfw.registry import MODELS, TRANSFORMS
from benchmarks.random_runs import write_run

TINY_RUCAIM3 = {'hidden': 8, 'regressor': [6], 'segment_length': 20}
TINY_TRANSFORMER = {**TINY_RUCAIM3, 'heads': 2, 'ffn': 8, 'layers': 1}
TINY_CHANNELS = {'video_channels': [6, 5], 'audio_channels': [4, 6], 'batch_size': 2}
TINY_PIXELS = {
    **TINY_CHANNELS,
    'face_backbone.units': [1, 1, 1, 1],
    'face_backbone.width': 2,
    'audio_backbone.hidden': 8,
    'audio_backbone.width': 1,
}


def save_run(
    folder: Path, config: str, dims: dict[str, Any], separate: bool = False, **overrides: Any
) -> Path:
    """A work_dir of a config under configs/, with random weights and made-up training statistics.

    Args:
        folder: for the work_dir.
        config: such as ``tagf/can_demo``.
        dims: size of a frame of each feature, as the network gets it.
        separate: give every target a checkpoint of its own.
        overrides: values of the config.
    """
    torch.manual_seed(3)
    values = {'features': list(dims), 'data_root': 'nowhere', **overrides}
    cfg = load_config(ROOT / f'configs/{config}.py', values)
    resolved = resolve(cfg)
    fitted = statistics(resolved, dims)
    config_of_model = model_config(resolved, dims)
    models = [enliven(MODELS.build(config_of_model)) for _ in (resolved.targets if separate else 'x')]
    if not separate:
        models *= len(resolved.targets)
    return write_run(folder / config.replace('/', '_'), cfg, models, fitted)


def enliven(model: Any) -> Any:
    """Draw weights and running statistics such that every part of a model matters."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1 and 'original0' not in name:
                p.normal_(0, 1.2 / p[0].numel() ** 0.5)
            else:
                p.add_(torch.randn_like(p) * 0.2)
        for name, buffer in model.named_buffers():
            if name.endswith('running_var'):
                buffer.uniform_(0.5, 2)
            elif name.endswith('running_mean'):
                buffer.normal_(0, 0.3)
    return model


def statistics(cfg: Any, dims: dict[str, Any]) -> list[dict[str, Any]]:
    """What the transforms would have taken from training videos."""
    fitted = []
    for transform in map(TRANSFORMS.build, cfg.val_dataloader.dataset.pipeline):
        if hasattr(transform, 'fit'):
            names = dims if transform.features is None else transform.features
            shapes = {name: () if transform.method == 'train_scalar' else dims[name] for name in names}
            fitted.append({name: (torch.randn(s), torch.rand(s) + 0.5) for name, s in shapes.items()})
    return fitted
