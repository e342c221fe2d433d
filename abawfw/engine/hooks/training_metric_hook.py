"""Figures of the training partition from the training pass itself."""

from __future__ import annotations

import time
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.loops.va_train_loop import READ_EVERY, read_scalars
from abawfw.engine.training_state import bare_model
from abawfw.evaluation.functional import Moments, moments
from abawfw.registry import HOOKS
from abawfw.structures import VABatch

FIELDS = ('n', 'mean_true', 'mean_pred', 'square_true', 'square_pred', 'product', 'squared_error')


@HOOKS.register_module()
class TrainingMetricHook(Hook):
    """Sum up what CCC, PCC and RMSE need while training, so no second pass over the training data is made.

    Predictions and losses stay on the device until the loop reads (``VATrainLoop.read_every``). Predictions
    are looked at some batches at a time even where it reads after each: code that ran a moment ago takes a
    quarter of the time. The figures are those of ``Moments``, as in validation: one definition, also of what
    is constant.

    Adds to the epoch's record: ``lr`` of the last batch, ``loss`` (mean over updates), ``train_ccc_TARGET``,
    ``train_pcc_TARGET``, ``train_rmse_TARGET`` (predictions made in training mode, weights changing during
    the epoch), ``train_labels_TARGET`` (labelled frames they are taken over), ``frames``, ``useful_share``
    (fraction of the computed frames that exist), ``train_seconds``, ``frames_per_second``.
    """

    priority = 'HIGH'

    def __init__(self) -> None:
        self.unread: list[tuple[VABatch, torch.Tensor]] = []
        self.unmeasured: list[VABatch] = []

    def before_train(self, runner: Runner) -> None:
        """Start the sums, unless a resumed run brought them."""
        self.columns = bare_model(runner).target_columns
        if not hasattr(self, 'moments'):
            self._reset(len(bare_model(runner).targets))

    def _reset(self, targets: int) -> None:
        self.moments = [Moments()] * targets
        # updates, sum of losses, existing frames, computed frames, seconds
        self.counts = [0.0] * 5

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Keep what this batch left on the device, until it is read."""
        self.unread.append((data_batch['data_samples'], outputs['loss'].detach()))

    def read(self, runner: Runner) -> None:
        """Add the batches since the last reading."""
        unread, self.unread = self.unread, []
        for (batch, _), loss in zip(unread, read_scalars([loss for _, loss in unread]), strict=True):
            frames = sum(batch.num_frames)
            if frames:  # a batch of fillers, which only keep ranks in step, is no update of its own
                self.counts[0] += 1
                self.counts[1] += loss
                self.counts[2] += frames
            self.counts[3] += batch.valid.numel()
            self.unmeasured.append(batch)
        if len(self.unmeasured) >= READ_EVERY:
            self._measure()
        now = time.perf_counter()
        self.counts[4] += now - self.started
        self.started = now

    def _measure(self) -> None:
        """Add what was read, batch by batch, so that the sums do not depend on when this is called."""
        unmeasured, self.unmeasured = self.unmeasured, []
        for batch in (batch.to('cpu') for batch in unmeasured):
            true = torch.cat(batch.existing(batch.gt_va[..., self.columns])).double().numpy()
            predicted = torch.cat(batch.predictions()).double().numpy()
            found = map(moments, true.T, predicted.T)
            self.moments = [of.merge(new) for of, new in zip(self.moments, found, strict=True)]

    def after_train_epoch(self, runner: Runner) -> None:
        """Turn the sums of all ranks into figures of the epoch."""
        self._measure()
        found, counts, seconds = self.moments, torch.tensor(self.counts, dtype=torch.float64), self.counts[4]
        if get_world_size() > 1:
            found = [Moments.pool(ranks) for ranks in zip(*all_gather_object(found), strict=True)]
            all_reduce(counts)
        names, rates = bare_model(runner).targets, runner.optim_wrapper.get_lr()
        runner.train_loop.record |= {
            'lr': rates.get('base_lr', rates['lr'])[0],  # groups may have rates of their own
            'loss': float(counts[1] / counts[0]),
            **{f'train_ccc_{t}': m.ccc if m.n else 0.0 for t, m in zip(names, found, strict=True)},
            **{f'train_pcc_{t}': m.pcc if m.n else 0.0 for t, m in zip(names, found, strict=True)},
            **{f'train_rmse_{t}': m.rmse if m.n else 0.0 for t, m in zip(names, found, strict=True)},
            **{f'train_labels_{t}': float(m.n) for t, m in zip(names, found, strict=True)},
            'frames': float(counts[2]),
            'useful_share': float(counts[2] / counts[3]),
            'train_seconds': seconds,
            'frames_per_second': float(counts[2]) / seconds,
        }
        self._reset(len(names))

    def rank_state(self) -> dict[str, Any]:
        """Sums of this rank, for a checkpoint in mid-epoch."""
        self._measure()
        values = [[getattr(of, name) for name in FIELDS] for of in self.moments]
        return {
            'moments': torch.tensor(values, dtype=torch.float64),
            'counts': torch.tensor(self.counts, dtype=torch.float64),
        }

    def load_rank_state(self, state: dict[str, Any]) -> None:
        """Continue these sums."""
        if 'moments' in state:
            self.moments = [Moments(int(n), *rest) for n, *rest in state['moments'].tolist()]
        else:  # of version 0.1
            self.moments = [_of_plain_sums(*row) for row in state['sums'].tolist()]
        self.counts = state['counts'].tolist()


def _of_plain_sums(n: float, true: float, pred: float, true2: float, pred2: float, product: float) -> Moments:
    """Statistics of sums of values, squares and products that were not taken about the means."""
    if not n:
        return Moments()
    return Moments(
        n=int(n),
        mean_true=true / n,
        mean_pred=pred / n,
        square_true=max(true2 - true * true / n, 0.0),
        square_pred=max(pred2 - pred * pred / n, 0.0),
        product=product - true * pred / n,
        squared_error=max(true2 - 2 * product + pred2, 0.0),
    )
