"""A training epoch of the framework against a bare PyTorch loop over the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config

from abawfw.apis.benchmark.bare_loop import BareLoop, ReadyBatch, ready_batches
from abawfw.apis.benchmark.framework import EpochSeconds, FrameworkEpochs, with_precision
from abawfw.apis.benchmark.timing import Spread, in_turn, seconds
from abawfw.apis.benchmark.torch_parts import with_torch_parts
from abawfw.apis.benchmark.useful_share import LOADERS, shares_on_affwild2, useful_share
from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.config import resolve
from abawfw.registry import MODELS

PRECISIONS = ('fp32', 'bf16')
WARM_UP = 5  # batches of each bare loop that are not timed


def benchmark_train(cfg: Config, rounds: int) -> dict[str, Any]:
    """Time epochs of a config: the framework's, and bare loops over prebuilt tensors of the same epoch.

    Every round is another epoch with its own batches, the same ones for all that is compared. All batches of
    an epoch are in memory at once.

    Args:
        cfg: loaded config, references not resolved.
        rounds: epochs to time, after one that is not timed.

    Returns:
        Per precision: seconds of the framework's training epoch, of its evaluation pass, of saving, of all
        three; of the bare loop and of the bare loop with torch's own dropout and encoder; ratios, each
        taken within a round. Then bf16 against fp32, frames and batches of an epoch, and the useful share of
        computed frames on these data and on lengths like those of Aff-Wild2.

    Raises:
        ConfigError, DataError: as training.
    """
    check_config(cfg)
    resolved = resolve(cfg)
    loaders = {partition: build_loader(resolved, key) for partition, key in LOADERS.items()}
    ours = MODELS.build(model_config(resolved, loaders['train'].dataset.input_dims))
    batches: list[ReadyBatch] = []

    def make_ready(epoch: int) -> None:
        batches[:] = ready_batches(loaders['train'], epoch, ours.target_columns)

    make_ready(0)
    actions: dict[str, Callable[[], Any]] = {}
    with TemporaryDirectory(prefix='abawfw-benchmark-') as folder:
        for precision in PRECISIONS:
            run = FrameworkEpochs(with_precision(cfg, precision), Path(folder) / f'benchmark-{precision}')
            actions[f'framework {precision}'] = run.epoch
            for name, model in (('bare', copy.deepcopy(ours)), ('torch', with_torch_parts(ours))):
                loop = BareLoop(model, resolved.optim_wrapper, precision)
                loop.epoch(batches[:WARM_UP])
                actions[f'{name} {precision}'] = partial(seconds, partial(loop.epoch, batches))
        took = in_turn(actions, rounds, before=lambda turn: make_ready(turn + 1))
    figures: dict[str, Any] = {
        p: _figures(took[f'framework {p}'], took[f'bare {p}'], took[f'torch {p}']) for p in PRECISIONS
    }
    train = {p: [epoch.train for epoch in took[f'framework {p}']] for p in PRECISIONS}
    figures['bf16_over_fp32'] = Spread.of_ratios(train['bf16'], train['fp32'])
    figures['batches'] = len(batches)
    figures['frames'] = int(sum(batch.valid.sum() for batch in batches))
    figures['useful_share'] = {p: useful_share(x.dataset, x.batch_sampler) for p, x in loaders.items()}
    figures['useful_share_affwild2'] = shares_on_affwild2(resolved)
    return figures


def _figures(framework: list[EpochSeconds], bare: list[float], torch_parts: list[float]) -> dict[str, Spread]:
    train = [epoch.train for epoch in framework]
    return {
        'train_seconds': Spread.of(train),
        'evaluation_seconds': Spread.of([epoch.evaluation for epoch in framework]),
        'saving_seconds': Spread.of([epoch.saving for epoch in framework]),
        'epoch_seconds': Spread.of([sum(epoch) for epoch in framework]),
        'bare_seconds': Spread.of(bare),
        'train_over_bare': Spread.of_ratios(train, bare),
        'bare_torch_parts_seconds': Spread.of(torch_parts),
        'torch_parts_over_ours': Spread.of_ratios(torch_parts, bare),
    }
