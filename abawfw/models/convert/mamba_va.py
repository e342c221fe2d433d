"""Checkpoints of Mamba-VA: the authors' names to those of an estimator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from abawfw.conventions import TARGETS
from abawfw.errors import ConfigError
from abawfw.models.convert.tagf import ConvertedWeights, compare_weights, shortened
from abawfw.models.weight_files import read_weights

# {m}: the modality. A name that none of them matches is unknown.
RULES = (
    (
        r'temporal\.(network\.\d+\.conv\d)\.weight_g',
        r'encoders.{m}.tcn.\1.parametrizations.weight.original0',
    ),
    (
        r'temporal\.(network\.\d+\.conv\d)\.weight_v',
        r'encoders.{m}.tcn.\1.parametrizations.weight.original1',
    ),
    (r'temporal\.(network\.\d+\.(?:conv\d|downsample|relu\d?)\..+)', r'encoders.{m}.tcn.\1'),
    (r'mamba\.mamba\.layers\.(\d+)\.0\.(.+)', r'context.0.layers.\1.mixer.\2'),
    (r'mamba\.mamba\.layers\.(\d+)\.1\.(.+)', r'context.0.layers.\1.norm.\2'),
    (r'mamba\.mamba\.proj\.(.+)', r'context.0.proj.\1'),
    (r'dual_reg\.0\.(.+)', r'head.hidden.0.\1'),
    (r'dual_reg\.2\.(.+)', r'head.out.\1'),
)
LEFT_OUT = {
    r'temporal\.network\.\d+\.net\..+': 'a second name of the same',
    r'mamba\.adaptor\..+': 'never used by the reference',
}


def convert_mamba_va(source: Path, model: Mapping[str, Any], features: Sequence[str]) -> ConvertedWeights:
    """Read a state dict of Mamba-VA as the weights of the estimator that a config describes.

    Only tensors are read from the file, never code. What the reference never uses is omitted; all else must
    fit exactly.

    Args:
        source: the state dict.
        model: resolved config of the estimator.
        features: the modalities of the config.

    Raises:
        CheckpointError: the file cannot be read, or what is in it and the config contradict one another.
        ConfigError: the config is none of this system.
    """
    _check(source, model, features)
    (modality,) = features
    stored = read_weights(source)
    if all(name.startswith('module.') for name in stored):
        stored = {name.removeprefix('module.'): tensor for name, tensor in stored.items()}
    weights: dict[str, Tensor] = {}
    unknown: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name, tensor in stored.items():
        reason = next((why for pattern, why in LEFT_OUT.items() if re.fullmatch(pattern, name)), None)
        found = next((m.expand(new) for old, new in RULES if (m := re.fullmatch(old, name))), None)
        if reason:
            left_out.setdefault(reason, []).append(name)
        elif found is None:
            unknown.append(name)
        else:
            weights[found.replace('{m}', modality)] = tensor
    first = weights.get(f'encoders.{modality}.tcn.network.0.conv1.parametrizations.weight.original1')
    # where it is missing or of another shape is reported with all else
    dim = 1 if first is None or first.ndim < 2 else max(1, first.shape[1])
    compare_weights(source, weights, {**model, 'input_dims': {modality: dim}}, unknown)
    return ConvertedWeights(
        weights, {modality: dim}, {why: shortened(names) for why, names in left_out.items()}
    )


def _check(source: Path, model: Mapping[str, Any], features: Sequence[str]) -> None:
    """Whether a config is one of Mamba-VA; the sizes of its parts are compared with the weights."""
    encoders = [cfg['type'] for cfg in (model.get('encoders') or {}).values()]
    contexts = [cfg['type'] for cfg in model.get('context') or ()]
    if len(features) != 1 or encoders != ['TCN'] or contexts != ['MambaContext']:
        raise ConfigError(
            f'{source}: a checkpoint of Mamba-VA needs one feature, a TCN as its encoder and MambaContext, '
            f'the config has {", ".join([*features, *encoders, *contexts])}: take a config of '
            'configs/mamba_va'
        )
    targets = list(model.get('targets', TARGETS))
    if len(targets) != 2:
        raise ConfigError(
            f'{source}: a checkpoint of Mamba-VA estimates valence and arousal, the config {targets[0]}'
        )
    if not model['context'][0].get('normalize', True):  # which the weights do not show
        raise ConfigError(f'{source}: a checkpoint of Mamba-VA needs normalize=True in MambaContext')
