"""Everything a resumed run needs to go on as if nothing had happened."""

from __future__ import annotations

import ast
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.model import is_model_wrapper

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
        'cuda': torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        'python': [version, list(words), gauss],
        'numpy': [torch.from_numpy(legacy[1].astype(np.int64)), *map(int, legacy[2:4]), float(legacy[4])],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put every random generator of this process back into a saved state."""
    torch.set_rng_state(state['torch'].cpu())
    if torch.cuda.is_available() and state['cuda']:
        torch.cuda.set_rng_state_all([s.cpu() for s in state['cuda']])
    version, words, gauss = state['python']
    random.setstate((version, tuple(words), gauss))
    keys, position, has_gauss, cached = state['numpy']
    words32 = keys.cpu().numpy().astype(np.uint32)
    np.random.set_state(('MT19937', words32, position, has_gauss, cached))  # noqa: NPY002


def _cpu(value: Any) -> Any:
    """The same nest of dicts and lists with its tensors on the CPU, detached from the run."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {k: _cpu(v) for k, v in value.items()}
    return [_cpu(v) for v in value] if isinstance(value, (list, tuple)) else value


def _tensors(value: Any) -> Any:
    """The same nest of dicts and lists with its arrays as tensors, which a checkpoint may hold."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {k: _tensors(v) for k, v in value.items()}
    return [_tensors(v) for v in value] if isinstance(value, (list, tuple)) else value


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


# The position of MMEngine's schedules; their shape is the config's, which may ask for more epochs.
_SCHEDULE_POSITION = ('last_step', '_global_step', '_last_value', 'base_values')


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
        'lanes': _cpu(model.lane_state()),
        # running statistics differ between ranks within an epoch
        'buffers': _cpu(_saved_buffers(model)) if get_world_size() > 1 else {},
        'hooks': {k: _cpu(h.rank_state()) for k, h in hooks.items() if hasattr(h, 'rank_state')},
    }
    return {
        'meta': {**model_meta(runner), 'epoch': loop.epoch, 'iter': loop.iter, 'batch': loop.batch},
        'videos': run_videos(runner),
        'state_dict': _cpu(model.state_dict()),
        'released': list(model.released),
        'optimizer': _cpu(runner.optim_wrapper.state_dict()),
        'param_schedulers': [_cpu(s.state_dict()) for s in runner.param_schedulers or []],
        'hooks': {k: _cpu(h.state_dict()) for k, h in hooks.items() if hasattr(h, 'state_dict')},
        'ranks': all_gather_object(own) if get_world_size() > 1 else [own],
    }


def run_videos(runner: Runner) -> dict[str, list[str]]:
    """Names of the videos that a run trains and validates on, in the order of the data."""
    loaders = {'train': runner.train_dataloader, 'val': runner.val_dataloader}
    return {k: [video.video_id for video in loader.dataset.videos] for k, loader in loaders.items()}


def model_meta(runner: Runner) -> dict[str, Any]:
    """What a reader of the weights must know: inputs, targets, seed, config, statistics, extraction."""
    model = bare_model(runner)
    return {
        'input_dims': dict(model.input_dims),
        'targets': list(model.targets),
        'seed': runner.seed,
        'config': runner.cfg.pretty_text,
        'fitted': _tensors(runner.train_dataloader.dataset.fitted),
        'extraction': runner.train_dataloader.dataset.store.extraction,
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


def restore(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Put a runner, built from the same config, into a captured state.

    Raises:
        CheckpointError: the checkpoint has no training state, or was written by another number of processes.
    """
    if 'ranks' not in checkpoint:
        raise CheckpointError('a best_*.pth holds weights only; resume from an epoch_*.pth of the same run')
    ranks = checkpoint['ranks']
    if len(ranks) != get_world_size():
        raise CheckpointError(
            f'the checkpoint was written by {len(ranks)} processes and this run has {get_world_size()}: '
            f'continue with {len(ranks)}'
        )
    loop, meta, own = runner.train_loop, checkpoint['meta'], ranks[get_rank()]
    if checkpoint['released']:
        runner.release(checkpoint['released'])
    buffers = _saved_buffers(bare_model(runner))
    for name, value in own['buffers'].items():
        buffers[name].copy_(value)
    try:
        runner.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        for scheduler, state in zip(
            runner.param_schedulers or [], checkpoint['param_schedulers'], strict=True
        ):
            names = getattr(scheduler, 'position', _SCHEDULE_POSITION)
            scheduler.load_state_dict({name: state[name] for name in names})
    except (ValueError, KeyError) as error:  # other parameter groups, another number or kind of schedules
        raise CheckpointError(
            f'the checkpoint was written with another optimiser or schedule ({error}): use its own config'
        ) from error
    for name, hook in _named_hooks(runner).items():
        if name in checkpoint['hooks']:
            hook.load_state_dict(checkpoint['hooks'][name])
        if name in own['hooks']:
            hook.load_rank_state(own['hooks'][name])
    bare_model(runner).load_lane_state(own['lanes'])
    loop.continue_from(meta['epoch'], meta['iter'], meta['batch'], own['random'])
