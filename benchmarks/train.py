"""A training epoch of the framework against a bare PyTorch loop over the same batches."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple

from mmengine.config import Config
from torch import Tensor, nn

from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.apis.train import build_runner
from abawfw.config.loading import resolve
from abawfw.datasets.clip_dataset import Clip
from abawfw.datasets.demo.signals import affwild2_lengths
from abawfw.models import VAEstimator
from abawfw.models.layers import Dropout, EncoderLayer
from abawfw.registry import CLIPS, MODELS, SAMPLERS
from benchmarks.bare_loop import BareLoop, ReadyBatch, ready_batches
from benchmarks.timing import Spread, in_turn, seconds

PRECISIONS = ('fp32', 'bf16')
LOADINGS = ('Stream', 'Resident')
WARM_UP = 5  # batches of each bare loop that are not timed


def benchmark_train(cfg: Config, rounds: int) -> dict[str, Any]:
    """Time epochs of a config: the framework's, and bare loops over prebuilt tensors of the same epoch.

    Every round is another epoch with its own batches, the same ones for all that is compared. All batches of
    an epoch are in memory at once.

    Args:
        cfg: loaded config, references not resolved.
        rounds: epochs to time, after one that is not timed.

    Returns:
        Per precision, of an epoch whose data are streamed: seconds of the framework's training, of its
        evaluation pass, of saving, of all three; with resident data, those of training; of the bare loop and
        of the bare loop with torch's own dropout and encoder; ratios, each taken within a round. Then seconds
        of reading the epoch's batches from the store alone, which the bare loop does not do; bf16 against
        fp32, frames and batches of an epoch, and the useful share of computed frames on these data and on
        lengths like those of Aff-Wild2.

    Raises:
        ConfigError, DataError: as training.
    """
    check_config(cfg)
    resolved = resolve(with_loading(cfg, 'Stream'))
    loaders = {partition: build_loader(resolved, key) for partition, key in LOADERS.items()}
    ours = MODELS.build(model_config(resolved, loaders['train'].dataset.input_dims))
    batches: list[ReadyBatch] = []

    def make_ready(epoch: int) -> None:
        batches[:] = ready_batches(loaders['train'], epoch, ours.target_columns)

    make_ready(0)
    actions: dict[str, Callable[[], Any]] = {}
    with TemporaryDirectory(prefix='abawfw-benchmark-') as folder:
        for precision in PRECISIONS:
            for loading in LOADINGS:
                given = with_loading(with_precision(cfg, precision), loading)
                run = FrameworkEpochs(given, Path(folder) / f'benchmark-{precision}-{loading}')
                actions[f'{loading} {precision}'] = run.epoch
            for name, model in (('bare', copy.deepcopy(ours)), ('torch', with_torch_parts(ours))):
                loop = BareLoop(model, resolved.optim_wrapper, precision)
                loop.epoch(batches[:WARM_UP])
                actions[f'{name} {precision}'] = partial(seconds, partial(loop.epoch, batches))
        actions['reading'] = partial(seconds, lambda: [None for _ in loaders['train']])
        took = in_turn(actions, rounds, before=lambda turn: make_ready(turn + 1))
    figures: dict[str, Any] = {
        p: _figures(*(took[f'{name} {p}'] for name in (*LOADINGS, 'bare', 'torch'))) for p in PRECISIONS
    }
    figures['reading_seconds'] = Spread.of(took['reading'])
    train = {p: [epoch.train for epoch in took[f'Stream {p}']] for p in PRECISIONS}
    figures['bf16_over_fp32'] = Spread.of_ratios(train['bf16'], train['fp32'])
    figures['batches'] = len(batches)
    figures['frames'] = int(sum(batch.valid.sum() for batch in batches))
    figures['useful_share'] = {p: useful_share(x.dataset, x.batch_sampler) for p, x in loaders.items()}
    figures['useful_share_affwild2'] = shares_on_affwild2(resolved)
    return figures


def _figures(
    framework: list[EpochSeconds], kept: list[EpochSeconds], bare: list[float], torch_parts: list[float]
) -> dict[str, Spread]:
    train, resident = ([epoch.train for epoch in epochs] for epochs in (framework, kept))
    return {
        'train_seconds': Spread.of(train),
        'evaluation_seconds': Spread.of([epoch.evaluation for epoch in framework]),
        'saving_seconds': Spread.of([epoch.saving for epoch in framework]),
        'epoch_seconds': Spread.of([sum(epoch) for epoch in framework]),
        'resident_train_seconds': Spread.of(resident),
        'bare_seconds': Spread.of(bare),
        'train_over_bare': Spread.of_ratios(train, bare),
        'resident_over_bare': Spread.of_ratios(resident, bare),
        'bare_torch_parts_seconds': Spread.of(torch_parts),
        'torch_parts_over_ours': Spread.of_ratios(torch_parts, bare),
    }


class EpochSeconds(NamedTuple):
    """Where the seconds of an epoch went: training with its hooks, evaluation, what is written after it."""

    train: float
    evaluation: float
    saving: float


def with_precision(cfg: Config, precision: str) -> Config:
    """A copy of a loaded config that trains in another precision."""
    copied = copy.deepcopy(cfg)
    copied.optim_wrapper.precision = precision
    return copied


def with_loading(cfg: Config, loading: str) -> Config:
    """A copy of a loaded config whose data are loaded by this policy."""
    copied = copy.deepcopy(cfg)
    for key in LOADERS.values():
        copied[key].loading = {'type': loading}
    return copied


class FrameworkEpochs:
    """A run as tools/train.py starts it, stopped after each epoch until the next is asked for.

    Building it trains the first epoch, without a clock, through the runner's own ``train``.

    Args:
        cfg: checked config, references not resolved.
        work_dir: where the run is written; its name must not be that of another run of this process.
    """

    def __init__(self, cfg: Config, work_dir: Path) -> None:
        once = copy.deepcopy(cfg)
        once.train_cfg.max_epochs = 1
        once.default_hooks.pop('progress', None)  # a bar per timed epoch would tear up what is printed
        self.runner = build_runner(once, work_dir, log_level='WARNING')
        self.runner.train()

    def epoch(self) -> EpochSeconds:
        """Train, evaluate and save as ``VATrainLoop.run`` does in each epoch."""
        loop = self.runner.train_loop
        loop.record = {'epoch': loop.epoch + 1}
        times = [time.perf_counter()]
        loop.run_epoch()
        times.append(time.perf_counter())
        loop.validate()
        times.append(time.perf_counter())
        for event in ('after_epoch', 'between_epochs', 'save_state'):
            self.runner.call_hook(event)
        times.append(time.perf_counter())
        return EpochSeconds(*(b - a for a, b in pairwise(times)))


class TorchEncoderLayer(nn.Module):
    """``torch.nn.TransformerEncoderLayer`` of the size of one of ours, called as ours is."""

    def __init__(self, ours: EncoderLayer) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            ours.linear1.in_features,
            ours.self_attn.heads,
            ours.linear1.out_features,
            ours.dropout.p,
            batch_first=True,
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """As ``EncoderLayer.forward``."""
        return self.layer(x, src_key_padding_mask=None if mask is None else ~mask)


def with_torch_parts(model: VAEstimator) -> VAEstimator:
    """A copy of an estimator whose dropout and encoder layers are torch's own."""
    copied = copy.deepcopy(model)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, EncoderLayer):
                setattr(module, name, TorchEncoderLayer(child))
            elif isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return copied


LOADERS = {'train': 'train_dataloader', 'val': 'val_dataloader'}


def clips_of(lengths: Iterable[int], rule: Any) -> SimpleNamespace:
    """What a sampler looks at of a dataset: ``clips`` of videos of these lengths, cut by a clip rule."""
    return SimpleNamespace(
        clips=[
            Clip(video, start, stop, position)
            for video, length in enumerate(lengths)
            for position, (start, stop) in enumerate(rule.cut(length))
        ]
    )


def useful_share(dataset: Any, batches: Iterable[Sequence]) -> float:
    """Frames that exist among the frames computed, where batches are padded to their longest clip."""
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    rows = [[0 if r.filler else lengths[r.clip] for r in batch] for batch in batches]
    computed = [len(batch) * max(lengths[r.clip] for r in batch) for batch in batches]
    return sum(map(sum, rows)) / sum(computed)


def shares_on_affwild2(cfg: Config) -> dict[str, float]:
    """Useful shares of a resolved config in training and evaluation on videos as long as Aff-Wild2's."""
    shares = {}
    for partition, key in LOADERS.items():
        rule = CLIPS.build(cfg[key].dataset.clips.to_dict())
        dataset = clips_of(affwild2_lengths(partition, cfg.seed), rule)
        context = {'dataset': dataset, 'seed': cfg.seed}
        shares[partition] = useful_share(
            dataset, list(SAMPLERS.build(cfg[key].sampler.to_dict(), default_args=context))
        )
    return shares
