"""Figures of the training partition from the training pass itself."""

from __future__ import annotations

import time
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.training_state import bare_model
from abawfw.registry import HOOKS


@HOOKS.register_module()
class TrainingMetricHook(Hook):
    """Sum up what CCC, PCC and RMSE need while training, so no second pass over the training data is made.

    Adds to the epoch's record: ``lr`` of the last batch, ``loss`` (mean over updates), ``train_ccc_TARGET``,
    ``train_pcc_TARGET``, ``train_rmse_TARGET`` (predictions made in training mode, weights changing during
    the epoch), ``train_labels_TARGET`` (labelled frames they are taken over), ``frames``, ``useful_share``
    (share of the computed frames that exist), ``train_seconds``, ``frames_per_second``.
    """

    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        """Start the sums, unless a resumed run brought them."""
        if not hasattr(self, 'sums'):
            self._reset(len(bare_model(runner).targets))

    def _reset(self, targets: int) -> None:
        # per target: n, sum true, sum predicted, and their three products; float64 for millions of frames
        self.sums = torch.zeros(targets, 6, dtype=torch.float64)
        # updates, sum of losses, existing frames, computed frames, seconds
        self.counts = torch.zeros(5, dtype=torch.float64)

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Add this batch."""
        samples = data_batch['data_samples']
        targets = bare_model(runner).target_columns
        true = torch.cat([s.gt_va[: s.num_frames] for s in samples])[:, targets].double()
        predicted = torch.cat([s.pred_va for s in samples]).cpu().double()
        known = true.isfinite()
        true, predicted = true.nan_to_num(0.0) * known, predicted * known
        self.sums += torch.stack(
            [known.double(), true, predicted, true * true, predicted * predicted, true * predicted], dim=-1
        ).sum(dim=0)
        now = time.perf_counter()
        self.counts += torch.tensor(
            [1, outputs['loss'].detach(), len(true), sum(len(s.valid) for s in samples), now - self.started],
            dtype=torch.float64,
        )
        self.started = now

    def after_train_epoch(self, runner: Runner) -> None:
        """Turn the sums of all ranks into figures of the epoch."""
        sums, counts, seconds = self.sums.clone(), self.counts.clone(), float(self.counts[4])
        if get_world_size() > 1:
            all_reduce(sums)
            all_reduce(counts)
        names, rates = bare_model(runner).targets, runner.optim_wrapper.get_lr()
        runner.train_loop.record |= {
            'lr': rates.get('base_lr', rates['lr'])[0],  # groups may have rates of their own
            'loss': float(counts[1] / counts[0]),
            **{
                f'{k}_{t}': float(v)
                for k, values in _figures(sums).items()
                for t, v in zip(names, values, strict=True)
            },
            'frames': float(counts[2]),
            'useful_share': float(counts[2] / counts[3]),
            'train_seconds': seconds,
            'frames_per_second': float(counts[2]) / seconds,
        }
        self._reset(len(names))

    def rank_state(self) -> dict[str, Any]:
        """Sums of this rank, for a checkpoint in mid-epoch."""
        return {'sums': self.sums, 'counts': self.counts}

    def load_rank_state(self, state: dict[str, Any]) -> None:
        """Continue these sums."""
        self.sums, self.counts = state['sums'].clone(), state['counts'].clone()


def _figures(sums: torch.Tensor) -> dict[str, torch.Tensor]:
    """CCC, PCC and RMSE per target, 0 where there is no variation, and the frames they are taken over."""
    labels, st, sp, stt, spp, stp = sums.unbind(-1)
    n = labels.clamp(min=1)
    covariance = stp / n - st * sp / n**2
    var_t, var_p = (stt / n - (st / n) ** 2).clamp(min=0), (spp / n - (sp / n) ** 2).clamp(min=0)
    spread, product = var_t + var_p + ((st - sp) / n) ** 2, (var_t * var_p).sqrt()
    return {
        'train_ccc': torch.where(spread > 1e-12, 2 * covariance / spread.clamp(min=1e-12), 0.0),
        'train_pcc': torch.where(product > 1e-12, covariance / product.clamp(min=1e-12), 0.0).clamp(-1, 1),
        'train_rmse': ((stt - 2 * stp + spp) / n).clamp(min=0).sqrt(),
        'train_labels': labels,
    }
