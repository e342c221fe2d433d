"""How the reference names the parameters of TAGF and its family, and what of them it never uses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from abawfw.errors import ConfigError
from abawfw.registry import FUSIONS

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
        fusion: its fusion, with the arguments that its parameters do not tell.
        rules: its names -> ours, for fusion and head.
        modalities: those it fuses, in order; it may encode others and throw them away. None: all it encodes.
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
