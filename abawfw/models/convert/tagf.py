"""Checkpoints of TAGF and its family: the reference's names to those of an estimator."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from abawfw.checkpoints import explain_mismatch, refuse_not_finite
from abawfw.conventions import TARGETS
from abawfw.errors import CheckpointError, ConfigError
from abawfw.models.weight_files import read_weights
from abawfw.registry import FUSIONS, MODELS

# modalities of a config -> as the reference calls them, where its backbones are omitted
EMBEDDINGS = {'video_embedding': 'video', 'audio_embedding': 'logmel'}
LISTED = 20  # names that an error lists one by one


class ConvertedWeights(NamedTuple):
    """Weights of an estimator, and what became of the rest.

    Attributes:
        weights: by our names.
        input_dims: of the modalities, in the config's order.
        left_out: why -> the names of the reference, shortened, with the number of tensors of each.
        notes: what else the user should know, a line each.
    """

    weights: dict[str, Tensor]
    input_dims: dict[str, int | tuple[int, ...]]
    left_out: dict[str, list[str]]
    notes: tuple[str, ...] = ()


def convert_tagf(
    source: Path, system: str, model: Mapping[str, Any], features: Sequence[str]
) -> ConvertedWeights:
    """Read a state dict of the reference as the weights of the estimator that a config describes.

    Only tensors are read from the file, never code. What the reference never uses is omitted; all else must
    fit exactly.

    Args:
        source: a state dict, with or without the backbones of pixels and audio.
        system: ``tagf``, ``lfan``, ``can`` (with or without co-attention), ``rcma`` or ``grjca`` (with or
            without hierarchical gates).
        model: resolved config of the estimator.
        features: the modalities of the config, in order.

    Raises:
        CheckpointError: the file cannot be read, or what is in it and the config contradict one another.
        ConfigError: the config is not of this system, or has both targets.
    """
    described = find_system(system, model)
    _check_target(source, model)
    stored = read_weights(source)
    if all(name.startswith('module.') for name in stored):
        stored = {name.removeprefix('module.'): tensor for name, tensor in stored.items()}
    ours = {EMBEDDINGS.get(name, name): name for name in features}
    _check_order(source, described, list(ours), stored)
    weights: dict[str, Tensor] = {}
    unknown: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name, tensor in stored.items():
        found, reason = _rename(name, described, ours, set(model.get('backbones') or {}))
        if found is not None:
            weights[found] = tensor
        elif reason:
            left_out.setdefault(reason, []).append(name)
        else:
            unknown.append(name)
    dims = {name: _dims(name, model, weights) for name in features}
    compare_weights(source, weights, {**model, 'input_dims': dims}, unknown)
    return ConvertedWeights(weights, dims, {why: shortened(names) for why, names in left_out.items()})


def _check_target(source: Path, model: Mapping[str, Any]) -> None:
    targets = list(model.get('targets', TARGETS))
    if len(targets) != 1:
        raise ConfigError(
            f'{source}: a checkpoint of the reference estimates one target, the config has '
            f'{" and ".join(targets)}: say which with --cfg-options targets=[valence] or targets=[arousal]'
        )


def _check_order(source: Path, system: System, here: list[str], stored: Iterable[str]) -> None:
    """Compare the modalities and their order; much of the fusion goes by place."""
    encoded = [m[1] for name in stored if (m := re.match(r'temporal\.(\w+)\.', name))]
    there = list(system.modalities or dict.fromkeys(encoded))
    if here != there:
        names = {v: k for k, v in EMBEDDINGS.items()}
        raise CheckpointError(
            f'{source}: its modalities are, in this order, {", ".join(there)}, those of the config '
            f'{", ".join(here)}: set features to {there}, or with stored embeddings to '
            f'{[names.get(name, name) for name in there]}'
        )


def _rename(name: str, system: System, ours: dict[str, str], backbones: set[str]) -> tuple[str | None, str]:
    """Our name of a parameter; or None and why it is omitted; or None and '' where it is unknown."""
    if re.fullmatch(ALIASES, name):
        return None, 'a second name of the same'
    if any(re.fullmatch(pattern, name) for pattern in (*system.unused, CLASSIFIER)):
        return None, 'never used by the reference'
    if match := re.fullmatch(r'spatial\.(visual|audio)\.backbone\.(.+)', name):
        modality = BACKBONES[match[1]]
        if modality in backbones:
            return f'backbones.{modality}.{match[2]}', ''
        return None, 'the config starts from stored embeddings'
    places = dict(enumerate(ours.values()))
    for pattern, template in (*ENCODERS, *system.rules):
        if not (match := re.fullmatch(pattern, name)):
            continue
        groups = match.groupdict()
        if 'm' in groups:
            if groups['m'] not in ours:
                return None, 'encoded and discarded by the reference' if system.modalities else ''
            groups['m'] = ours[groups['m']]
        if 'n' in groups:
            groups['n'] = places.get(int(groups['n']) - 1, '?')
        if 'p' in groups:
            groups['p'] = places.get(int(groups['p']), '?')
        return template.format(**ours, **groups), ''
    return None, ''


def _dims(name: str, model: Mapping[str, Any], weights: Mapping[str, Tensor]) -> int | tuple[int, ...]:
    """Size of a frame of a modality, as the weights or the backbone have it."""
    backbone = (model.get('backbones') or {}).get(name)
    if backbone is None:
        first = weights.get(f'encoders.{name}.tcn.network.0.conv1.parametrizations.weight.original1')
        # where it is missing or of another shape is reported with all else
        return 1 if first is None or first.ndim < 2 else max(1, first.shape[1])
    if backbone['type'] == 'IResNet':
        size = backbone.get('size', 40)
        return (size, size, 3)
    if backbone['type'] == 'VGGish':
        return (96, 64)
    raise ConfigError(f'model.backbones.{name}: the reference has IResNet or VGGish, not {backbone["type"]}')


def compare_weights(
    source: Path, weights: dict[str, Tensor], model: dict[str, Any], unknown: list[str]
) -> None:
    """Check names and shapes against the estimator of a config.

    Args:
        source: file they come from.
        weights: by our names.
        model: config of the estimator.
        unknown: names in the file that are none of this system.

    Raises:
        CheckpointError: they do not fit, or are not finite.
    """
    estimator = MODELS.build(model)
    reason = explain_mismatch(estimator, weights)
    if reason is not None:
        raise CheckpointError(f'{source}: {reason}')
    own = estimator.state_dict()
    differing = {k: (v, weights[k]) for k, v in own.items() if k in weights and v.shape != weights[k].shape}
    missing = [k for k in own if k not in weights]
    problems = {
        'missing': missing,
        'not of this system': [*unknown, *(k for k in weights if k not in own)],
        'of another shape': [
            f'{k}: {tuple(theirs.shape)} in the checkpoint, {tuple(ours.shape)} in the config'
            for k, (ours, theirs) in differing.items()
        ],
    }
    if any(problems.values()):
        hint = ''
        if any(name.startswith('backbones.') for name in missing):
            hint = '; the checkpoint comes without its backbones: take a config that starts from embeddings'
        listed = '; '.join(
            f'{what}: {", ".join(names if len(names) <= LISTED else shortened(names))}'
            for what, names in problems.items()
            if names
        )
        raise CheckpointError(f'{source} and the config contradict: {listed}{hint}')
    refuse_not_finite(estimator, weights, source)


def shortened(names: Sequence[str]) -> list[str]:
    """Names cut after the second part, with the number of tensors of each; a single one stays whole."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault('.'.join(name.split('.')[:2]), []).append(name)
    return [f'{start}.* ({len(group)})' if len(group) > 1 else group[0] for start, group in groups.items()]


Rules = tuple[tuple[str, str], ...]

# In a name of ours: {m}, the modality of this name; {n} and {p}, the one of this place, counted from 1 and
# from 0; {x}, the rest as it is.
ENCODERS: Rules = (
    (
        r'temporal\.(?P<m>\w+)\.(?P<x>network\.\d+\.conv\d)\.weight_g',
        'encoders.{m}.tcn.{x}.parametrizations.weight.original0',
    ),
    (
        r'temporal\.(?P<m>\w+)\.(?P<x>network\.\d+\.conv\d)\.weight_v',
        'encoders.{m}.tcn.{x}.parametrizations.weight.original1',
    ),
    (r'temporal\.(?P<m>\w+)\.(?P<x>network\..+)', 'encoders.{m}.tcn.{x}'),
    (r'bn\.(?P<m>\w+)\.(?P<x>.+)', 'encoders.{m}.norm.{x}'),
)
ALIASES = r'temporal\.\w+\.network\.\d+\.net\..+'  # the convolutions once more
BACKBONES = {'visual': 'video', 'audio': 'logmel'}  # as the reference calls them -> its modality
CLASSIFIER = r'spatial\.visual\.logits\..+'  # of the data set the faces were trained on


def _co_attention(prefix: str) -> Rules:
    step = rf'{prefix}\.dcn_layers\.(?P<i>\d+)'
    return (
        (rf'{step}\.dense_coattn\.query_linear\.(?P<x>.+)', 'fusion.steps.{i}.joint.{x}'),
        (rf'{step}\.dense_coattn\.key(?P<n>\d)_linear\.(?P<x>.+)', 'fusion.steps.{i}.keys.{n}.{x}'),
        (rf'{step}\.dense_coattn\.value(?P<n>\d)_linear\.(?P<x>.+)', 'fusion.steps.{i}.values.{n}.{x}'),
        (rf'{step}\.linears\.(?P<p>\d)\.0\.(?P<x>.+)', 'fusion.steps.{i}.outputs.{p}.{x}'),
    )


def _regressor(first: str, second: str) -> Rules:
    return (
        (rf'{first}\.(?P<x>.+)', 'head.hidden.0.linear.{x}'),
        (r'bn1\.(?P<x>weight|bias|running_\w+|num_batches_tracked)', 'head.hidden.0.norm.{x}'),
        (rf'{second}\.(?P<x>.+)', 'head.out.{x}'),
    )


@dataclass(frozen=True)
class System:
    """A system of the reference.

    Attributes:
        fusion: its fusion, with the arguments that do not follow from its parameters.
        rules: its names -> ours, for fusion and head.
        modalities: those it fuses, in order; it may encode others and discard them. None: all it encodes.
        unused: names of parameters that it has and never uses.
    """

    fusion: dict[str, Any]
    rules: Rules
    modalities: tuple[str, ...] | None = None
    unused: tuple[str, ...] = field(default=())


CO_ATTENTION = {
    'type': 'CoAttentionFusion',
    'joint': 'projected',
    'time_mix': 'linear',
    'states': 'last',
    'gate': None,
    'normalize': False,
}


def _grjca(gate: str, layers: dict[str, str]) -> System:
    """GRJCA or HGRJCA (arXiv:2503.12261), by the names of its gates' layers: the reference's end -> ours."""
    prefix = 'H?GRJCA'
    gates = (
        (rf'{prefix}\.{theirs}_gating_fc_layer{end}\.(?P<x>.+)', f'fusion.gates.{{{m}}}.{layer}.{{x}}')
        for theirs, m in (('video', 'video'), ('audio', 'logmel'))
        for end, layer in layers.items()
    )
    return System(
        {**CO_ATTENTION, 'states': 'all', 'gate': gate, 'normalize': True},
        (*_co_attention(rf'{prefix}\.coattn'), *gates, *_regressor('regressor1', 'regressor2')),
        ('video', 'logmel'),
        (rf'{prefix}\.(vregressor|aregressor|Joint|text_\w+)\..+',),
    )


CAN_UNUSED = (r'conv_c\..+', r'up_sample\..+')
SYSTEMS: dict[str, tuple[System, ...]] = {
    'tagf': (
        System(
            {**CO_ATTENTION, 'states': 'all', 'gate': 'lstm', 'normalize': True},
            (
                *_co_attention(r'TAGF\.coattn'),
                (r'TAGF\.video_temporal_encoder\.(?P<x>.+)', 'fusion.gates.{video}.lstm.{x}'),
                (r'TAGF\.audio_temporal_encoder\.(?P<x>.+)', 'fusion.gates.{logmel}.lstm.{x}'),
                *_regressor('regressor1', 'regressor2'),
            ),
            ('video', 'logmel'),
            (r'TAGF\.(vregressor|aregressor|Joint)\..+',),
        ),
    ),
    'lfan': (
        System(
            {'type': 'LeaderFollowerFusion'},
            (
                (
                    r'fusion\.layers\.self_attn\.qkv_proj\.(?P<m>\w+)\.(?P<x>.+)',
                    'fusion.qkv_proj.{m}.{x}',
                ),
                (r'fusion\.layers\.self_attn\.o_proj\.(?P<x>.+)', 'fusion.o_proj.{x}'),
                (r'fusion\.layers\.norm1\.(?P<x>.+)', 'fusion.norm.{x}'),
                (r'regressor\.(?P<x>.+)', 'head.out.{x}'),
            ),
        ),
    ),
    'can': (
        System(
            {'type': 'ChannelAttentionFusion'},
            (
                (r'fuse\.attn\.(?P<p>\d)\.(?P<x>.+)', 'fusion.projections.{p}.{x}'),
                (r'fuse\.weights\.(?P<x>.+)', 'fusion.weights.{x}'),
                *_regressor('fc1', 'fc2'),
            ),
            None,
            CAN_UNUSED,
        ),
        System(
            CO_ATTENTION,
            (*_co_attention('coattn'), *_regressor('fc1', 'fc2')),
            ('logmel', 'video'),
            (*CAN_UNUSED, r'fuse\..+'),
        ),
    ),
    'rcma': (
        System(
            {**CO_ATTENTION, 'joint': 'raw'},
            (*_co_attention('coattn'), *_regressor('regressor1', 'regressor2')),
            ('video', 'logmel', 'bert'),
            (r'coattn\.dcn_layers\.\d+\.dense_coattn\.query_linear\..+',),
        ),
    ),
    'grjca': (
        _grjca('linear', {'': 'score'}),
        _grjca(
            'hierarchical',
            {'_stage1': 'upto.0.score', '_stage2': 'upto.1.score', '_stage': 'over.score'},
        ),
    ),
}


def find_system(system: str, model: Mapping[str, Any]) -> System:
    """The variant of a system that the fusion of a config is.

    Args:
        system: one of `SYSTEMS`.
        model: resolved config of the estimator.

    Raises:
        ConfigError: the fusion is that of another system, or one of ours that the reference does not have.
    """
    fusion = {'type': 'ConcatFusion', **model.get('fusion', {})}
    component: Any = FUSIONS.get(fusion['type'])
    defaults = {n: p.default for n, p in inspect.signature(component).parameters.items()} if component else {}
    given = {**defaults, **fusion}
    problems = []
    for variant in SYSTEMS[system]:
        wrong = {k: v for k, v in variant.fusion.items() if given.get(k) != v}
        if not wrong:
            return variant
        if 'type' not in wrong or len(SYSTEMS[system]) == 1:
            problems = [f'{k}={given.get(k)!r} where {system} has {v!r}' for k, v in wrong.items()]
    named = ' or '.join(str(variant.fusion['type']) for variant in SYSTEMS[system])
    raise ConfigError(
        f'model.fusion: {", ".join(problems) or given["type"]}; a checkpoint of {system} needs {named}, as '
        f'the shipped configs of {system} have it'
    )
