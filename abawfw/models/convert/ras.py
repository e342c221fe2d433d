"""Checkpoints of team RAS: the names of its fusion, visual and RAAV models to those of an estimator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abawfw.errors import CheckpointError, ConfigError
from abawfw.models.convert.tagf import ConvertedWeights, compare_weights
from abawfw.models.weight_files import read_weights

LAYER = {
    'self_attention': 'attention',
    'feed_forward.layer_1': 'linear1',
    'feed_forward.layer_2': 'linear2',
    'add_norm_after_attention.norm': 'norm1',
    'add_norm_after_ff.norm': 'norm2',
}
RAAV = {
    'audio_latents': 'fusion.latents',
    'audio_projector': 'fusion.projection',
    'audio_latent_attn': 'fusion.to_tokens',
    'frame_to_audio_attn': 'fusion.to_latents',
    'norm_frame_pre': 'fusion.norm_frames',
    'norm_audio_latents': 'fusion.norm_latents',
    'norm_after_audio': 'fusion.norm',
    'temporal_encoder': 'context.0',
}
PER_MODALITY = {
    'projections': 'fusion.projections',
    'frame_projectors': 'fusion.projections',
    'frame_gate_mlps': 'fusion.scores',
}
# what a name of a model begins with -> the fusion of its config; the first that fits counts
KINDS = {
    'image_proj.': 'ConcatFusion',
    'frame_projectors.': 'ReliabilityFusion',
    'experts.': 'MixtureOfExpertsFusion',
    'projections.': 'DirectedFusion',
}
TABLE, PRIORS = 'a table of positions, which follows from its size', 'modality_log_priors'


def convert_ras(source: Path, model: Mapping[str, Any], features: Sequence[str]) -> ConvertedWeights:
    """Read a state dict of the reference as the weights of the estimator that a config describes.

    Modalities are taken in their order: the first of the checkpoint is the first feature of the config,
    whatever they are called; RAAV's audio is the modality of ``tokens``. Only tensors are read, never code.

    Args:
        source: a state dict of a visual model, of a fusion model, of one with experts, or of RAAV.
        model: resolved config of the estimator.
        features: the modalities of the config, in order.

    Raises:
        CheckpointError: the file cannot be read, or what is in it and the config contradict one another.
        ConfigError: the config is of another model.
    """
    stored = {name.removeprefix('module.'): tensor for name, tensor in read_weights(source).items()}
    fusion = {'type': 'ConcatFusion', **(model.get('fusion') or {})}
    kind = next((k for k in KINDS if any(name.startswith(k) for name in stored)), None)
    if kind is None:
        raise CheckpointError(f'{source}: no model of RAS: no name in it begins with {", ".join(KINDS)}')
    if fusion['type'] != KINDS[kind]:
        raise ConfigError(
            f'model.fusion: {fusion["type"]}, but {source} holds a model with {kind}*, which needs '
            f'{KINDS[kind]}, as the configs of configs/ras have it'
        )
    if fusion['type'] == 'ReliabilityFusion':
        _check_unrepaired(source, model, fusion)
    ours = _modalities(source, stored, [m for m in features if m != fusion.get('tokens')])
    if kind == 'image_proj.' and list(model.get('encoders') or {}) != list(features):
        raise ConfigError(
            f'model.encoders: a visual model of RAS encodes the only feature, here {features[0]}'
        )
    last = max((n.rpartition('.')[0] for n in stored if n.startswith('head.')), default='head')
    weights: dict[str, Tensor] = {}
    left_out: dict[str, list[str]] = {}
    unknown: list[str] = []
    for name, tensor in stored.items():
        if name.rpartition('.')[2] == 'pe':
            left_out.setdefault(TABLE, []).append(name)
        elif name == PRIORS:
            _compare_priors(source, tensor, fusion, list(ours.values()))
        elif found := _rename(name, ours, last):
            weights[found] = tensor
        else:
            unknown.append(name)
    dims: dict[str, int | tuple[int, ...]] = {
        m: _width(m, weights, m == fusion.get('tokens')) for m in features
    }
    compare_weights(source, weights, {**model, 'input_dims': dims}, unknown)
    return ConvertedWeights(weights, dims, left_out, _not_in_weights(fusion))


def _check_unrepaired(source: Path, model: Mapping[str, Any], fusion: Mapping[str, Any]) -> None:
    """Refuse a config with our repairs of RAAV, whose parameters are the same and whose numbers are not."""
    repairs = ['model.fusion.normalize_all=True'] if fusion.get('normalize_all', True) else []
    for i, context in enumerate(model.get('context') or ()):
        if context.get('type') == 'PreNormEncoderContext' and context.get('position', True):
            repairs.append(f'model.context[{i}].position=True')
    if repairs:
        raise ConfigError(
            f'{" and ".join(repairs)}: {source} was trained without, and would give other predictions: take '
            'configs/ras/raav_reference_*.py, or set repaired=False'
        )


def _not_in_weights(fusion: Mapping[str, Any]) -> tuple[str, ...]:
    """What weights fit whatever it is, for the user to compare: the direction of a directed fusion."""
    if fusion['type'] != 'DirectedFusion':
        return ()
    given = {name: fusion.get(name, 'fusion') for name in ('query', 'key', 'value')}
    shown = ', '.join(f'{name}={value}' for name, value in given.items())
    return (f'not in the checkpoint, taken from the config: {shown}: hold them against its training',)


def _modalities(source: Path, stored: Mapping[str, Tensor], here: list[str]) -> dict[str, str]:
    """The modalities of the checkpoint, as the config calls them."""
    named = (re.match(r'(?:projections|frame_projectors)\.([^.]+)\.', name) for name in stored)
    there = list(dict.fromkeys(m[1] for m in named if m)) or ['image']
    if len(there) != len(here):
        raise CheckpointError(
            f'{source}: its modalities are, in this order, {", ".join(there)}, those of the config '
            f'{", ".join(here)}: set features to as many, in the same order'
        )
    return dict(zip(there, here, strict=True))


def _rename(name: str, ours: Mapping[str, str], last: str) -> str | None:
    """Our name of a parameter; None where it is unknown."""
    first, _, rest = name.partition('.')
    modality, _, end = rest.partition('.')
    if first == 'head':
        return name.replace(last, 'head.out', 1) if name.startswith(f'{last}.') else f'head.hidden.{rest}'
    if first in PER_MODALITY:
        return f'{PER_MODALITY[first]}.{ours[modality]}.{end}' if modality in ours else None
    if first == 'experts':
        pair = [ours.get(m, '?') for m in modality.split('__')]
        return f'fusion.experts.{"__".join(pair)}.{_layer(end)}'
    if first in RAAV:
        return f'{RAAV[first]}.{rest}'.rstrip('.')
    (only, *_) = ours.values()
    stack = f'encoders.{only}' if 'image' in ours else 'fusion'
    if first == 'transformer':
        return f'{stack}.layers.{_layer(rest)}'
    if first == 'image_proj':
        return f'{stack}.projection.{rest}'
    return f'fusion.{name}' if first == 'gate' else None


def _layer(name: str) -> str:
    """Our name of a parameter of a layer, after the number of the layer."""
    number, _, rest = name.partition('.')
    for theirs, here in LAYER.items():
        if rest.startswith(f'{theirs}.'):
            return f'{number}.{here}{rest[len(theirs) :]}'
    return name


def _width(modality: str, weights: Mapping[str, Tensor], is_tokens: bool) -> int:
    """Vector length of a modality; where it is missing or of another shape is reported with all else."""
    names = ['fusion.projection.weight'] if is_tokens else []
    names += [f'fusion.projections.{modality}.0.weight', f'fusion.projections.{modality}.weight']
    names += [f'encoders.{modality}.projection.0.weight']
    found = next((weights[n] for n in names if n in weights and weights[n].ndim == 2), None)
    return 1 if found is None else found.shape[1]


def _compare_priors(source: Path, stored: Tensor, fusion: Mapping[str, Any], names: list[str]) -> None:
    given = fusion.get('priors') or dict.fromkeys(names, 1.0)
    own = torch.tensor([float(given.get(m, 1.0)) for m in names])
    found = stored.float().exp()
    if found.shape != own.shape or not torch.allclose(found, own / own.sum(), rtol=1e-3, atol=1e-5):
        shares = ', '.join(f'{value:.4g}' for value in found.flatten().tolist())
        raise CheckpointError(
            f'{source}: its priors are {shares}, those of the config {dict(given)}: set model.fusion.priors'
        )
