"""How long training waits for its data."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.config.loading import resolve
from abawfw.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from benchmarks.timing import Spread, seconds


def benchmark_waiting(cfg: Config, rounds: int) -> dict[str, Any]:
    """Train on some batches of a config and time apart what is spent waiting for each.

    Weights are random: with pixels, override those of the backbones by None. The first batch, for which the
    workers have to start, is not counted.

    Args:
        cfg: loaded config, references not resolved.
        rounds: batches to train on, after one that is not timed.

    Returns:
        ``wait_ms`` and ``step_ms`` per batch, and ``network_share``: step over wait plus step.
    """
    check_config(cfg)
    resolved = resolve(cfg)
    loader = build_loader(resolved, 'train_dataloader')
    model = MODELS.build(model_config(resolved, loader.dataset.input_dims)).to(get_device()).train()
    settings = resolved.optim_wrapper.to_dict()
    wrapper = OPTIM_WRAPPER_CONSTRUCTORS.get(settings.pop('constructor'))(settings)(model)
    loader.batch_sampler.set_epoch(0)
    batches, waits, steps = iter(loader), list[float](), list[float]()
    found: list[Any] = []
    for _ in range(min(rounds + 1, len(loader.batch_sampler))):
        waits.append(1e3 * seconds(lambda: found.append(next(batches))))
        steps.append(1e3 * seconds(lambda: model.train_step(found.pop(), optim_wrapper=wrapper)))
    waits, steps = waits[1:], steps[1:]
    both = [wait + step for wait, step in zip(waits, steps, strict=True)]
    return {
        'wait_ms': Spread.of(waits),
        'step_ms': Spread.of(steps),
        'network_share': Spread.of_ratios(steps, both),
    }
