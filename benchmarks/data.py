"""Loading batches, without training on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mmengine.config import Config
from torch.utils.data import DataLoader

from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.config.loading import resolve
from abawfw.registry import MODELS
from benchmarks.bare_loop import BareLoop, ready_batches
from benchmarks.timing import Spread, in_turn, seconds

WORKERS = (0, 2)
TRAINED = 50  # batches of the bare loop, which only gives the scale


def benchmark_data(cfg: Config, rounds: int) -> dict[str, Any]:
    """Time the training data loader of a config alone, in epochs; files are in memory after the first.

    Args:
        cfg: loaded config, references not resolved.
        rounds: epochs to time, after one that is not timed.

    Returns:
        ``step_ms``, a bare training step on batches that lie ready, in the config's precision; per number of
        workers ``batch_ms`` and ``share_of_step``: loading over loading plus step, without overlap.
    """
    check_config(cfg)
    resolved = resolve(cfg)
    loaders = {}
    for workers in WORKERS:
        resolved.train_dataloader.num_workers = workers
        resolved.train_dataloader.loading = {'type': 'Stream'}
        loaders[workers] = build_loader(resolved, 'train_dataloader')
    model = MODELS.build(model_config(resolved, loaders[0].dataset.input_dims))
    loop = BareLoop(model, resolved.optim_wrapper, resolved.optim_wrapper.precision)
    batches = ready_batches(loaders[0], 0, model.target_columns)[:TRAINED]
    actions: dict[str, Callable[[], Any]] = {
        str(n): partial(_per_batch, loader) for n, loader in loaders.items()
    }
    actions['step'] = lambda: 1e3 * seconds(partial(loop.epoch, batches)) / len(batches)
    in_turn(actions, 1)
    took = in_turn(actions, rounds)
    both = {n: [a + b for a, b in zip(took[str(n)], took['step'], strict=True)] for n in WORKERS}
    return {
        'step_ms': Spread.of(took['step']),
        'workers': {
            str(n): {
                'batch_ms': Spread.of(took[str(n)]),
                'share_of_step': Spread.of_ratios(took[str(n)], both[n]),
            }
            for n in WORKERS
        },
    }


def _per_batch(loader: DataLoader) -> float:
    """Milliseconds per batch of an epoch that nobody trains on."""
    sampler: Any = loader.batch_sampler
    sampler.set_epoch(0)
    return 1e3 * seconds(lambda: [None for _ in loader]) / len(sampler)
