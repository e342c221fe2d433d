"""The least that training can cost: a plain PyTorch loop over tensors that lie ready."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor
from torch.utils.data import DataLoader

from abawfw.engine.optim.va_optim_wrapper import autocast
from abawfw.models import VAEstimator
from abawfw.models.parts import is_stateful, takes_lengths
from abawfw.registry import OPTIMIZERS


class ReadyBatch(NamedTuple):
    """A batch of the data loader as nothing but tensors on the device.

    Attributes:
        inputs: one per feature, (batch, time, dim).
        labels: (batch, time, targets).
        valid: (batch, time) bool.
        rows: (batch,), the row of the batch before in which the same lane stands.
        goes_on: (batch,) bool, whether a row goes on with the video of its lane.
        lengths: frames of each row that exist.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    valid: Tensor
    rows: Tensor
    goes_on: Tensor
    lengths: list[int]


def ready_batches(loader: DataLoader, epoch: int, columns: slice) -> list[ReadyBatch]:
    """All batches of an epoch; they are as large as the data set.

    Args:
        loader: its batches are taken as they are, so shapes and useful frames are those of the framework.
        epoch: counted from 0.
        columns: those of the labels that are trained on.
    """
    device = get_device()
    sampler: Any = loader.batch_sampler
    sampler.set_epoch(epoch)
    ready: list[ReadyBatch] = []
    before: dict[int, int] = {}
    for batch in loader:
        samples = batch['data_samples']
        lanes = {lane: row for row, lane in enumerate(samples.lane)}
        ready.append(
            ReadyBatch(
                {name: x.to(device) for name, x in batch['inputs'].items()},
                samples.gt_va[..., columns].to(device),
                samples.valid.to(device),
                torch.tensor([before.get(lane, 0) for lane in samples.lane], device=device),
                ~samples.starts.to(device),
                samples.num_frames,
            )
        )
        before = lanes
    return ready


class BareLoop:
    """A model and its optimiser, trained step by step with nothing around.

    The parts of the model are called one after another, not the estimator: data samples, lane states,
    predictions kept for metrics, hooks and data loading are all left out. Gradients are clipped per
    sub-network, as the framework does.

    Args:
        model: an estimator without backbones, as the shipped configs for vectors build it.
        wrapper: the config's ``optim_wrapper``.
        precision: 'fp32' or 'bf16'.
    """

    def __init__(self, model: VAEstimator, wrapper: Config, precision: str) -> None:
        self.model = model.to(get_device())
        self.precision, self.max_norm = precision, wrapper.get('max_norm')
        self.groups = [
            [p for p in part.parameters() if p.requires_grad] for part in model.subnetworks().values()
        ]
        groups = [{'params': group} for group in self.groups]
        self.optimizer = OPTIMIZERS.build(wrapper.optimizer.to_dict(), default_args={'params': groups})

    def epoch(self, batches: Iterable[ReadyBatch]) -> None:
        """Train once through these batches."""
        self.model.train()
        states: list[Any] = []
        for batch in batches:
            self.optimizer.zero_grad()
            with autocast(self.precision):
                loss, states = self._loss(batch, states)
            loss.backward()
            if self.max_norm is not None:
                for group in self.groups:
                    torch.nn.utils.clip_grad_norm_(group, self.max_norm)
            self.optimizer.step()

    def _loss(self, batch: ReadyBatch, states: list[Any]) -> tuple[Tensor, list[Any]]:
        observed = dict.fromkeys(batch.inputs, batch.valid)
        vectors = {
            name: self.model.encoders[name](x, batch.valid) if name in self.model.encoders else x
            for name, x in batch.inputs.items()
        }
        x = self.model.fusion(vectors, observed)
        after: list[Any] = []
        for context in self.model.context:
            known = {'lengths': batch.lengths} if takes_lengths(context) else {}
            if not is_stateful(context):
                x = context(x, batch.valid, **known)
                continue
            if states:
                state = tuple(_carried(t, batch) for t in states[len(after)])
            else:
                state = context.initial_state(len(x), x.device)
            x, state = context(x, batch.valid, state, **known)
            after.append(tuple(t.detach() for t in state))
        with torch.autocast(x.device.type, enabled=False):
            losses = self.model.head.loss(self.model.head(x.float(), batch.valid), batch.labels, batch.valid)
        return torch.stack([v for k, v in losses.items() if 'loss' in k]).sum(), after


def _carried(state: Tensor, batch: ReadyBatch) -> Tensor:
    """The states of the rows that go on, zeros for those that start a video."""
    goes_on = batch.goes_on.view(-1, *[1] * (state.ndim - 1))
    return state[batch.rows] * goes_on
