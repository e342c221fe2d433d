"""Everything a resumed run needs to continue as if never interrupted."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.model import is_model_wrapper
from mmengine.optim import _ParamScheduler

from abawfw.datasets.stores.frame_rates import trained_rates
from abawfw.errors import CheckpointError

if TYPE_CHECKING:
    from mmengine.runner import Runner


def bare_model(runner: Runner) -> Any:
    """The estimator, without the wrapper of distributed training."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def random_state() -> dict[str, Any]:
    """State of every random generator of this process, as tensors and plain values."""
    version, words, gauss = random.getstate()
    legacy: Any = np.random.get_state()  # noqa: NPY002 (the global state is what we save)
    return {
        'torch': torch.get_rng_state(),
        'cuda': [torch.cuda.get_rng_state()] if get_device() == 'cuda' else [],  # of the device in use
        'python': [version, list(words), gauss],
        'numpy': [torch.from_numpy(legacy[1].astype(np.int64)), *map(int, legacy[2:4]), float(legacy[4])],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put every random generator of this process back into a saved state.

    A process computes on one GPU, so the state of one is all that a run depends on, however many are visible
    then and now. Version 0.1.0 saved the states of all that were: this process used the one of its rank.
    """
    torch.set_rng_state(state['torch'].cpu())
    if get_device() == 'cuda' and state['cuda']:
        torch.cuda.set_rng_state(state['cuda'][get_rank() % len(state['cuda'])].cpu())
    version, words, gauss = state['python']
    random.setstate((version, tuple(words), gauss))
    keys, position, has_gauss, cached = state['numpy']
    words32 = keys.cpu().numpy().astype(np.uint32)
    np.random.set_state(('MT19937', words32, position, has_gauss, cached))  # noqa: NPY002


def _saved(value: Any) -> Any:
    """The same nest of dicts and lists, its tensors and arrays as tensors on the CPU, apart from the run."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {k: _saved(v) for k, v in value.items()}
    return [_saved(v) for v in value] if isinstance(value, (list, tuple)) else value


def _saved_buffers(model: Any) -> dict[str, torch.Tensor]:
    """Buffers that a checkpoint holds; the others are the config's."""
    saved = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name in saved}


def _named_hooks(runner: Runner) -> dict[str, Any]:
    """Hooks by class and, where a class stands more than once, by its turn."""
    named: dict[str, Any] = {}
    for hook in runner.hooks:
        turn = sum(type(h) is type(hook) for h in named.values())
        named[f'{type(hook).__name__}.{turn}' if turn else type(hook).__name__] = hook
    return named


class Resumable:
    """A hook whose state is some of its attributes, as plain values and tensors."""

    position: ClassVar[tuple[str, ...]]

    def state_dict(self) -> dict[str, Any]:
        """These attributes."""
        return {name: getattr(self, name) for name in self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from them."""
        for name in self.position:
            setattr(self, name, state[name])


# The position of MMEngine's schedules, each of which has some of these; their shape is the config's, which
# may ask for more epochs.
_SCHEDULE_POSITION = (
    *('last_step', '_global_step', '_last_value', 'base_values'),
    *('best', 'num_bad_epochs', 'cooldown_counter'),  # of those that wait for a score
)


def capture(runner: Runner) -> dict[str, Any]:
    """Collect the training state; every rank must call this at the same point.

    Returns:
        ``meta`` (position, seed, what the model expects), ``videos`` (names by partition), ``state_dict``,
        ``released`` (parts of the model that were frozen once), ``optimizer``, ``param_schedulers``,
        ``hooks`` (state of every hook that has some, by class name) and ``ranks``: per rank its random
        generators, carried lane states, buffers where there are several ranks, and per-rank hook states.
    """
    loop, model, hooks = runner.train_loop, bare_model(runner), _named_hooks(runner)
    own = {
        'random': random_state(),
        'lanes': _saved(model.lane_state()),
        # running statistics differ between ranks within an epoch
        'buffers': _saved(_saved_buffers(model)) if get_world_size() > 1 else {},
        'hooks': {k: _saved(h.rank_state()) for k, h in hooks.items() if hasattr(h, 'rank_state')},
    }
    return {
        'meta': {**model_meta(runner), 'epoch': loop.epoch, 'iter': loop.iter, 'batch': loop.batch},
        'videos': run_videos(runner),
        'state_dict': _saved(model.state_dict()),
        'released': list(model.released),
        'optimizer': _saved(runner.optim_wrapper.state_dict()),
        'param_schedulers': [_saved(s.state_dict()) for s in runner.param_schedulers or []],
        'hooks': {k: _saved(h.state_dict()) for k, h in hooks.items() if hasattr(h, 'state_dict')},
        'ranks': all_gather_object(own) if get_world_size() > 1 else [own],
    }


def run_videos(runner: Runner) -> dict[str, list[str]]:
    """Names of the videos that a run trains and validates on, in the order of the data."""
    loaders = {'train': runner.train_dataloader, 'val': runner.val_dataloader}
    return {k: [video.video_id for video in loader.dataset.videos] for k, loader in loaders.items()}


def model_meta(runner: Runner) -> dict[str, Any]:
    """What a reader of the weights must know: inputs, targets, seed, config, statistics, extraction, rate."""
    model, data = bare_model(runner), runner.train_dataloader.dataset
    return {
        'input_dims': dict(model.input_dims),
        'targets': list(model.targets),
        'seed': runner.seed,
        'config': runner.cfg.pretty_text,
        'fitted': _saved(data.fitted),
        'extraction': data.store.extraction,
        'fps': trained_rates(data.store, data.videos),
    }


def changed_settings(then: str, now: str) -> list[str]:
    """Top-level names whose values differ between two configs as text, which is parsed and never run."""
    before, after = (
        {
            ast.unparse(node.targets[0]): ast.unparse(node.value)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign)
        }
        for text in (then, now)
    )
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def restore(runner: Runner, checkpoint: dict[str, Any], path: Path) -> None:
    """Put a runner, built from the same config, into a captured state.

    What a checkpoint holds was compared with its description when it was read; here it is compared with the
    run: parameters, schedules, buffers and contexts.

    Args:
        runner: to go on.
        checkpoint: as `abawfw.checkpoints.load_checkpoint` gives it.
        path: its file, for errors.

    Raises:
        CheckpointError: the checkpoint has no training state, was written by another number of processes, or
            belongs to another model, optimiser or schedule; names the key.
    """
    if 'ranks' not in checkpoint:
        raise CheckpointError(
            f'{path}: a best_*.pth holds weights only; resume from an epoch_*.pth of the same run'
        )
    ranks = checkpoint['ranks']
    if len(ranks) != get_world_size():
        raise CheckpointError(
            f'{path}: the checkpoint was written by {len(ranks)} processes and this run has '
            f'{get_world_size()}: continue with {len(ranks)}'
        )
    loop, meta, own, model = runner.train_loop, checkpoint['meta'], ranks[get_rank()], bare_model(runner)
    if list(meta['targets']) != list(model.targets):
        raise CheckpointError(
            f'{path}: estimates {" and ".join(meta["targets"])}, the config {" and ".join(model.targets)}: '
            'use its own config'
        )
    if checkpoint['released']:
        runner.release(checkpoint['released'])
        model = bare_model(runner)
    try:
        _check_lanes(model, own['lanes'])
        _load_buffers(_saved_buffers(model), own['buffers'])
    except ValueError as error:
        raise CheckpointError(f'{path}: {error}: use its own config, or another checkpoint') from None
    try:
        _check_optimizer(runner.optim_wrapper, checkpoint['optimizer'])
        networks = [group.get('network') for group in runner.optim_wrapper.optimizer.param_groups]
        runner.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        for group, network in zip(runner.optim_wrapper.optimizer.param_groups, networks, strict=True):
            if network is not None:  # checkpoints of 0.1.0 do not name it
                group['network'] = network
        for scheduler, state in zip(
            runner.param_schedulers or [], checkpoint['param_schedulers'], strict=True
        ):
            _load_schedule(scheduler, state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:  # other groups, or other schedules
        raise CheckpointError(
            f'{path}: the checkpoint was written with another optimiser or schedule ({error}): use its own '
            'config, or another checkpoint'
        ) from error
    for name, hook in _named_hooks(runner).items():
        for states, method in ((checkpoint['hooks'], 'state_dict'), (own['hooks'], 'rank_state')):
            if hasattr(hook, method) and name not in states:
                runner.logger.warning(f'{path.name} has no state of {name}, which starts from scratch')
        try:
            if name in checkpoint['hooks']:
                hook.load_state_dict(checkpoint['hooks'][name])
            if name in own['hooks']:
                hook.load_rank_state(own['hooks'][name])
        except Exception as error:  # a hook from elsewhere may fail with anything
            raise CheckpointError(
                f'{path}: {name} cannot take over the state that the checkpoint has of it '
                f'({type(error).__name__}: {error}): use the version that wrote it, or another checkpoint'
            ) from error
    model.load_lane_state(own['lanes'])
    _report_other_device(runner, own['random'], path)
    loop.continue_from(meta['epoch'], meta['iter'], meta['batch'], own['random'])


def _load_schedule(schedule: Any, state: dict[str, Any]) -> None:
    """Bring a schedule to its saved position; ValueError or KeyError if the state is of another one."""
    now = schedule.state_dict()
    if hasattr(schedule, 'position'):
        newer = getattr(schedule, 'newer', ())  # that older states lack
        names = tuple(name for name in schedule.position if name in state or name not in newer)
    elif isinstance(schedule, _ParamScheduler):
        names = tuple(name for name in _SCHEDULE_POSITION if name in now)
    else:  # one from elsewhere knows itself what it takes over
        try:
            schedule.load_state_dict(state)
        except Exception as error:
            raise ValueError(f'{type(schedule).__name__}: {type(error).__name__}: {error}') from error
        return
    for name in names:
        _check_alike(now[name], state[name], f'param_schedulers: {name}')
    schedule.load_state_dict({name: state[name] for name in names})


def _report_other_device(runner: Runner, state: dict[str, Any], path: Path) -> None:
    then, here = bool(state['cuda']), get_device() == 'cuda'
    if then != here:
        names = {True: 'a GPU', False: 'the CPU'}
        runner.logger.warning(
            f'{path.name} was written by a run on {names[then]}, and this one continues on {names[here]}: it '
            'is valid, but not what the uninterrupted run would give: sums are rounded in another order, '
            'and dropout is drawn by another generator'
        )


def _load_buffers(buffers: dict[str, torch.Tensor], saved: dict[str, torch.Tensor]) -> None:
    for name, value in saved.items():
        if name not in buffers or buffers[name].shape != value.shape:
            raise ValueError(f'its buffer {name} of shape {tuple(value.shape)} is not one of the model')
        buffers[name].copy_(value)


def _check_lanes(model: Any, lanes: dict[str, torch.Tensor]) -> None:
    """Compare carried states with those that the contexts of the model begin with."""
    fresh = {
        f'{c}.{k}': tensor[0]
        for c, context in enumerate(model.stateful)
        for k, tensor in enumerate(context.initial_state(1, torch.device('cpu')))
    }
    carried: dict[str, set[str]] = {}
    for key, tensor in lanes.items():
        number, kind, *state = key.split('.')
        found = carried.setdefault(number, set())
        if kind != 'state':
            continue
        name = '.'.join(state)
        found.add(name)
        # rows of one state may differ in the length of their first axis
        if name not in fresh or tensor.ndim != fresh[name].ndim or tensor.shape[1:] != fresh[name].shape[1:]:
            raise ValueError(f'its lane state {key} of shape {tuple(tensor.shape)} is not one of the model')
    for number, found in carried.items():
        if found != fresh.keys():
            raise ValueError(f'its lane {number} has the states {sorted(found)}, the model {sorted(fresh)}')


# States of optimisers that have the shape of their parameter, and those that one cannot go on without.
_LIKE_PARAMETER = ('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'momentum_buffer', 'square_avg', 'exp_inf')
_NEEDED = dict.fromkeys(('Adam', 'AdamW', 'NAdam', 'RAdam'), frozenset({'step', 'exp_avg', 'exp_avg_sq'}))


def _check_optimizer(wrapper: Any, saved: dict[str, Any]) -> None:
    """Compare settings and states with the groups and parameters here; ValueError says what differs.

    torch compares the numbers of groups and parameters only, and fails in the next step.
    """
    groups = wrapper.optimizer.param_groups
    parameters = [p for group in groups for p in group['params']]
    if [len(g['params']) for g in groups] != [len(g['params']) for g in saved['param_groups']]:
        raise ValueError('its parameter groups differ')
    for number, (here, there) in enumerate(zip(groups, saved['param_groups'], strict=True)):
        for key, value in here.items():
            added = key not in there and (key == 'network' or isinstance(value, (bool, type(None))))
            if key != 'params' and not added:
                _check_alike(value, there.get(key), f'optimizer.param_groups.{number}.{key}')
        if there.get('network', here.get('network')) != here.get('network'):
            raise ValueError(
                f'optimizer.param_groups.{number} is of {there["network"]!r}, here of {here.get("network")!r}'
            )
    settings = saved.get('base_param_settings')
    if settings is not None:
        for key, value in (wrapper.base_param_settings or {}).items():
            if key != 'params':
                _check_alike(value, settings.get(key), f'optimizer.base_param_settings.{key}')
    needed = _NEEDED.get(type(wrapper.optimizer).__name__, frozenset())
    for index, state in saved['state'].items():
        place = f'optimizer.state.{index}'
        if index >= len(parameters):
            raise ValueError(f'{place} is of no parameter')
        if not needed <= state.keys():
            raise ValueError(f'{place} lacks {", ".join(sorted(needed - state.keys()))}')
        for key, value in state.items():
            if key in _LIKE_PARAMETER and not (key == 'momentum_buffer' and value is None):
                shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                if shape != tuple(parameters[index].shape) or not value.isfinite().all():
                    raise ValueError(
                        f'{place}.{key} is {shape}, its parameter {tuple(parameters[index].shape)}'
                    )
            updates = value.item() if isinstance(value, torch.Tensor) and not value.ndim else value
            if key == 'step' and not (type(updates) in (int, float) and 0 <= updates < float('inf')):
                raise ValueError(f'{place}.step is no number of updates')


def _check_alike(here: Any, there: Any, place: str) -> None:
    """Refuse a setting of another kind than the one here, or a number that is none; ValueError names it."""
    if isinstance(here, (bool, type(None))):
        alike = isinstance(there, (bool, type(None)))
    elif isinstance(here, (int, float)):
        # rates and counts; the best score so far may be negative, and is -infinity before the first
        alike = type(there) in (int, float) and (0 <= there < float('inf') or place.endswith(': best'))
        alike = alike and there == there and not (place.endswith('.betas') and there >= 1)
    elif isinstance(here, (list, tuple)):
        alike = isinstance(there, (list, tuple)) and len(here) == len(there)
        for one, other in zip(here, there if alike else (), strict=False):
            _check_alike(one, other, place)
    else:
        alike = isinstance(there, type(here))
    if not alike:
        raise ValueError(f'{place} is {there!r:.60}, here {here!r:.60}')
