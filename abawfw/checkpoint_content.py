"""What a checkpoint holds: one description, with which every checkpoint is compared, written or read.

Who reads a checkpoint can rely on keys, types and ranges. What depends on the run that goes on from it,
such as the shapes of its parameters, is compared in `abawfw.engine.training_state.restore`.
"""

from __future__ import annotations

import ast
import math
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch

from abawfw.conventions import TARGETS
from abawfw.tensor_files import STORAGES

Check = Callable[[Any, str], None]
"""Compares a value with what is expected at a place; ValueError names the place, such as 'meta.epoch'."""

MAX_COUNT = 1 << 53
MAX_FRAME = 1 << 26
"""Largest number of elements of a frame of a feature; an image of 4,096 by 4,096 in colour has fewer."""


def check_content(checkpoint: Mapping[str, Any]) -> None:
    """Compare a checkpoint with the description.

    ``meta`` and ``state_dict`` (weights by name) are in every checkpoint. A training state, which a run can
    go on from, has ``ranks`` and all else that `abawfw.engine.training_state.capture` lists.

    Raises:
        ValueError: a key is missing, or a value is of another type or out of its range; names the key.
    """
    _record({'meta': _META, 'state_dict': _mapping(_text, _tensor)})(checkpoint, '')
    if 'ranks' in checkpoint:
        _record(_TRAINING_STATE, {'videos': _VIDEOS})(checkpoint, '')
        count = len(checkpoint['meta']['targets'])
        for number, rank in enumerate(checkpoint['ranks']):
            for name in ('moments', 'sums'):
                rows = rank['hooks'].get('TrainingMetricHook', {}).get(name)
                if rows is not None and len(rows) != count:
                    place = f'ranks.{number}.hooks.TrainingMetricHook.{name}'
                    raise ValueError(f'{place}: expected a row per target')


def _wrong(place: str, value: Any, expected: str) -> ValueError:
    plain = value is None or isinstance(value, (bool, int, float, str))
    found = repr(value)[:60] if plain else f'of type {type(value).__name__}'
    return ValueError(f'{place} is {found}, expected {expected}')


def _record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A dict of these keys; what else it holds is nobody's."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(place or 'the checkpoint', value, 'a dict')
        start = f'{place}.' if place else ''
        for key, inner in required.items():
            if key not in value:
                raise ValueError(f'{start}{key} is missing')
            inner(value[key], f'{start}{key}')
        for key, inner in (optional or {}).items():
            if key in value:
                inner(value[key], f'{start}{key}')

    return check


def _mapping(key: Check, inner: Check) -> Check:
    """A dict of any keys of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(place, value, 'a dict')
        for name, item in value.items():
            key(name, f'a key of {place}')
            inner(item, f'{place}.{name}')

    return check


def _list(inner: Check, least: int = 0, most: float = math.inf) -> Check:
    def check(value: Any, place: str) -> None:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            raise _wrong(place, value, f'a list of {least if least == most else f"at least {least}"}')
        for number, item in enumerate(value):
            inner(item, f'{place}.{number}')

    return check


def _either(*kinds: Check) -> Check:
    """One of several; the last says what was expected."""

    def check(value: Any, place: str) -> None:
        for kind in kinds[:-1]:
            try:
                return kind(value, place)
            except ValueError:
                continue
        return kinds[-1](value, place)

    return check


def _whole(least: int, most: int = MAX_COUNT) -> Check:
    def check(value: Any, place: str) -> None:
        if type(value) is not int or not least <= value <= most:
            raise _wrong(place, value, f'a whole number from {least}')

    return check


def _number(value: Any, place: str) -> None:
    """A number; figures of an epoch may be NaN, and the best score before the first is -infinity."""
    if type(value) not in (int, float):
        raise _wrong(place, value, 'a number')


def _finite(value: Any, place: str) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _wrong(place, value, 'a finite number')


def _rate(value: Any, place: str) -> None:
    _finite(value, place)
    if value <= 0:
        raise _wrong(place, value, 'frames per second')


def _score(value: Any, place: str) -> None:
    _finite(value, place)
    if not -1 <= value <= 1:
        raise _wrong(place, value, 'a CCC from -1 to 1')


def _text(value: Any, place: str) -> None:
    if not isinstance(value, str):
        raise _wrong(place, value, 'text')


def _none(value: Any, place: str) -> None:
    if value is not None:
        raise _wrong(place, value, 'None')


def _plain(value: Any, place: str) -> None:
    """Anything that can be read back: what a hook from elsewhere gives may be a number of numpy's, say."""
    if isinstance(value, torch.Tensor):
        _tensor(value, place)
    elif type(value) in (dict, OrderedDict):
        for key, item in value.items():
            _plain(key, f'a key of {place}')
            _plain(item, f'{place}.{key}')
    elif type(value) in (list, tuple):
        for number, item in enumerate(value):
            _plain(item, f'{place}.{number}')
    elif value is not None and type(value) not in (bool, int, float, str):
        kind = f'{type(value).__module__}.{type(value).__name__}'
        raise ValueError(f'{place} is {kind}, expected a tensor or plain values')


def _tensor(value: Any, place: str) -> None:
    if not isinstance(value, torch.Tensor):
        raise _wrong(place, value, 'a tensor')
    if value.layout != torch.strided or value.dtype not in STORAGES.values():
        raise ValueError(f'{place} is {value.layout}, {value.dtype}, expected a dense tensor of numbers')


def _tensor_of(dtypes: tuple[torch.dtype, ...], *shape: int | None) -> Check:
    """A tensor of a type and shape; None stands for any size."""

    def check(value: Any, place: str) -> None:
        _tensor(value, place)
        fits = len(value.shape) == len(shape) and all(
            n in (None, m) for n, m in zip(shape, value.shape, strict=True)
        )
        if value.dtype not in dtypes or not fits:
            listed = ', '.join('any' if n is None else str(n) for n in shape)
            raise ValueError(
                f'{place} is {value.dtype} of shape {tuple(value.shape)}, expected {dtypes[0]} of ({listed})'
            )

    return check


_BYTES = _tensor_of((torch.uint8,), None)


def _config(value: Any, place: str) -> None:
    _text(value, place)
    try:
        ast.parse(value)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f'{place} is no config') from None


def _targets(value: Any, place: str) -> None:
    if not isinstance(value, (list, tuple)) or not value or list(value) != [t for t in TARGETS if t in value]:
        raise _wrong(place, value, 'valence, arousal, or both in this order')


def _frame(value: Any, place: str) -> None:
    """Size of a frame: a number, or several."""
    _either(_list(_whole(1), least=1), _whole(1))(value, place)
    if math.prod(value if isinstance(value, (list, tuple)) else [value]) > MAX_FRAME:
        raise ValueError(f'{place} asks for frames of more than {MAX_FRAME:,} numbers')


def _statistics(value: Any, place: str) -> None:
    """Mean and standard deviation of a feature."""
    _list(_tensor, 2, 2)(value, place)
    mean, deviation = value
    if not mean.is_floating_point() or mean.shape != deviation.shape or mean.dtype != deviation.dtype:
        raise ValueError(f'{place}: mean and standard deviation of two shapes or types')
    if not (mean.isfinite().all() and deviation.isfinite().all()):
        raise ValueError(f'{place}: mean and standard deviation are not finite')


def _cuda(value: Any, place: str) -> None:
    """Seed and offset of a GPU's generator; offsets count in fours."""
    _tensor_of((torch.uint8,), 16)(value, place)
    if int(value[8]) % 4:
        raise ValueError(f'{place} is no state of a generator')


def _random(value: Any, place: str) -> None:
    """States of random generators: taken over by generators that nobody uses."""
    _record(
        {
            'torch': _BYTES,
            'cuda': _list(_cuda),
            'python': _list(_plain, 3, 3),
            'numpy': _list(_plain, 4, 4),
        }
    )(value, place)
    version, words, gauss = value['python']
    _whole(0)(version, f'{place}.python.0')
    _list(_whole(0, 2**32 - 1))(words, f'{place}.python.1')
    _either(_none, _finite)(gauss, f'{place}.python.2')
    keys, position, has_gauss, cached = value['numpy']
    _tensor_of((torch.int64,), 624)(keys, f'{place}.numpy.0')
    _whole(0, 624)(position, f'{place}.numpy.1')
    _whole(0, 1)(has_gauss, f'{place}.numpy.2')
    _finite(cached, f'{place}.numpy.3')
    if not ((keys >= 0) & (keys < 2**32)).all():
        raise ValueError(f'{place}.numpy.0 is no state of a generator')
    for name, take in (
        ('torch', lambda: torch.Generator().set_state(value['torch'])),
        ('python', lambda: random.Random().setstate((version, tuple(words), gauss))),
    ):
        try:
            take()
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise ValueError(f'{place}.{name} is no state of a generator ({error})') from None


def _lanes(value: Any, place: str) -> None:
    """What stateful contexts carry, as `abawfw.models.lane_states.LaneStates.export` writes it."""
    _mapping(_text, _tensor)(value, place)
    numbers = set()
    for key, tensor in value.items():
        match = re.fullmatch(r'([0-9]{1,9})\.(video_id|position|state\.[0-9]{1,3}\.[0-9]{1,3})', key)
        if match is None:
            raise ValueError(f'{place}.{key} is no part of a lane')
        numbers.add(match[1])
        if match[2] == 'video_id':
            _BYTES(tensor, f'{place}.{key}')
            try:
                bytes(tensor.tolist()).decode()
            except UnicodeDecodeError:
                raise ValueError(f'{place}.{key} is no name') from None
        elif match[2] == 'position':
            _tensor_of((torch.int64,))(tensor, f'{place}.{key}')
            _whole(0)(int(tensor), f'{place}.{key}')
        elif not tensor.is_floating_point() and tensor.dtype not in (torch.bool, torch.int64):
            raise ValueError(f'{place}.{key} is {tensor.dtype}')
    for number in numbers:
        for key in (f'{number}.video_id', f'{number}.position'):
            if key not in value:
                raise ValueError(f'{place}.{key} is missing')


def _groups(value: Any, place: str) -> None:
    """Parameter groups of an optimiser, whose parameters are numbered through."""
    _list(_record({'params': _list(_whole(0)), 'lr': _plain}), least=1)(value, place)
    counted = [index for group in value for index in group['params']]
    if counted != list(range(len(counted))):
        raise ValueError(f'{place}: its parameters are not numbered from 0 on')


_VIDEOS = _record({'train': _list(_text), 'val': _list(_text)})
_META = _record(
    {},
    {
        'input_dims': _mapping(_text, _frame),
        'targets': _targets,
        'seed': _whole(-MAX_COUNT),
        'config': _config,
        'fitted': _either(_none, _list(_mapping(_text, _statistics))),
        'extraction': _mapping(_text, _mapping(_text, _plain)),
        'fps': _either(_none, _list(_rate, 2, 2)),
        'epoch': _whole(0),
        'iter': _whole(0),
        'batch': _whole(0),
        'key': _text,
        'score': _score,
        'source': _text,
    },
)
_ROW = _record({'epoch': _finite})


def _rows(value: Any, place: str) -> None:
    """Figures of every epoch, which may be NaN."""
    _list(_mapping(_text, _number))(value, place)
    _list(_ROW)(value, place)


# States of hooks by class; those of other hooks are compared by who takes them over.
_HOOKS = {
    'VACheckpointHook': _record(
        {'best': _mapping(_text, _record({'score': _score, 'epoch': _whole(0), 'file': _text}))}
    ),
    'EarlyStopHook': _record({'best': _number, 'epochs': _whole(0), 'waited': _whole(0)}),
    'EpochLogHook': _record({'rows': _rows}),
    'TrainingLogHook': _record({'rows': _rows}),
    'GradualReleaseHook': _record({'stage': _whole(0)}),
}
_RANK_HOOKS = {
    # the sums of version 0.1 became moments
    'TrainingMetricHook': _record(
        {'counts': _tensor_of((torch.float64,), 5)},
        {'moments': _tensor_of((torch.float64,), None, 7), 'sums': _tensor_of((torch.float64,), None, 6)},
    ),
}


def _hooks(described: Mapping[str, Check]) -> Check:
    def check(value: Any, place: str) -> None:
        _mapping(_text, _plain)(value, place)
        for name, state in value.items():
            described.get(name.split('.')[0], _plain)(state, f'{place}.{name}')

    return check


_TRAINING_STATE = {
    'meta': _record(
        {
            'epoch': _whole(0),
            'iter': _whole(0),
            'batch': _whole(0),
            'config': _config,
            'targets': _targets,
        }
    ),
    'released': _list(_text),
    'optimizer': _record(
        {'state': _mapping(_whole(0), _mapping(_text, _plain)), 'param_groups': _groups},
        {'base_param_settings': _either(_none, _mapping(_text, _plain))},
    ),
    'param_schedulers': _list(_mapping(_text, _plain)),
    'hooks': _hooks(_HOOKS),
    'ranks': _list(
        _record(
            {
                'random': _random,
                'lanes': _lanes,
                'buffers': _mapping(_text, _tensor),
                'hooks': _hooks(_RANK_HOOKS),
            }
        ),
        least=1,
    ),
}
