"""A training step of TAGF against what the reference's own composition of torch's parts costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from abawfw.apis.benchmark.tagf_reference import ENCODERS, TorchTAGF
from abawfw.apis.benchmark.timing import Spread, in_turn
from abawfw.registry import MODELS
from abawfw.structures import VADataSample

USED = ('video', 'logmel')
VARIANTS = {  # gate and precision of what is measured
    'faithful': ('lstm', None),
    'mlp': ('mlp', None),
    'faithful_bf16': ('lstm', torch.bfloat16),
    'mlp_bf16': ('mlp', torch.bfloat16),
}


def benchmark_tagf(rounds: int, batch: int = 12, length: int = 300) -> dict[str, Any]:
    """Measure training steps on the CPU, from embeddings per frame, in CPU seconds of this process.

    A step is forward pass, loss, backward pass and Adam. In every turn of a model one step goes before that
    which is timed, since the memory that it works in was given away to the others in between.

    Args:
        rounds: steps timed of each model.
        batch: windows of a batch.
        length: frames of a window.

    Returns:
        CPU seconds of a step of the reference; of each variant, and as a share of the reference's in the same
        round; the largest difference of outputs, and the length of the difference of gradients as a share of
        that of the gradient, between the reference and our faithful model with the same weights, without
        dropout.
    """
    torch.manual_seed(0)
    inputs = {m: torch.randn(batch, length, dim) for m, (dim, _) in ENCODERS.items()}
    labels = torch.rand(batch, length, 2) * 2 - 1
    reference = TorchTAGF(length)
    actions: dict[str, Callable[[], float]] = {}
    actions['reference'] = _action(reference, lambda: _ccc_loss(reference(inputs), labels))
    samples = [_sample(x) for x in labels]
    used = {m: inputs[m] for m in USED}
    same = _ours('lstm', length)
    differences = _differences(reference, same, inputs, samples)
    for name, (gate, dtype) in VARIANTS.items():
        model = same if name == 'faithful' else _ours(gate, length)
        actions[name] = _action(model, partial(_loss, model, used, samples, dtype))
    in_turn(actions, 1)
    took = in_turn(actions, rounds)
    figures: dict[str, Any] = {'reference_cpu_seconds': Spread.of(took['reference'])}
    for name in VARIANTS:
        figures[name] = {
            'cpu_seconds': Spread.of(took[name]),
            'over_reference': Spread.of_ratios(took[name], took['reference']),
        }
    return figures | {'difference': differences}


def _ours(gate: str, length: int) -> Any:
    """The estimator of configs/_base_/models/tagf.py, of one target, from the same modalities."""
    encoders = {m: {'type': 'TCN', 'channels': list(ENCODERS[m][1])} for m in USED}
    fusion = {'type': 'CoAttentionFusion', 'length': length, 'states': 'all', 'gate': gate, 'normalize': True}
    return MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': {m: ENCODERS[m][0] for m in USED},
            'targets': ['valence'],
            'encoders': encoders,
            'fusion': fusion,
            'head': {'type': 'TanhHead', 'layers': [256], 'losses': [{'type': 'WindowCCCLoss'}]},
        }
    )


def _sample(labels: Tensor) -> VADataSample:
    frames = len(labels)
    meta = {'video_id': 'v', 'start': 0, 'num_frames': frames, 'video_length': frames, 'lane': 0}
    sample = VADataSample(metainfo={**meta, 'starts_video': True})
    sample.gt_va, sample.valid = labels, torch.ones(frames, dtype=torch.bool)
    sample.observed = torch.ones(frames, len(USED), dtype=torch.bool)
    return sample


def _loss(model: Any, inputs: dict[str, Tensor], samples: list[VADataSample], dtype: Any = None) -> Tensor:
    with torch.autocast('cpu', dtype) if dtype is not None else nullcontext():
        losses = model(inputs, samples, mode='loss')
    return torch.stack([v for k, v in losses.items() if 'loss' in k]).sum()


def _ccc_loss(pred: Tensor, labels: Tensor) -> Tensor:
    """The loss of TAGF (docs/tagf.md, Training) of the first target."""
    gold = labels[..., :1]
    covariance = ((pred - pred.mean(1, keepdim=True)) * (gold - gold.mean(1, keepdim=True))).mean(1)
    spread = pred.var(1) + gold.var(1) + (pred.mean(1) - gold.mean(1)).square()
    return (1 - 2 * covariance / spread).mean()


def _action(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    """A training step, taken twice, and the CPU seconds of the second."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    def timed() -> float:
        step()
        started = time.process_time()
        step()
        return time.process_time() - started

    return timed


def _differences(
    reference: TorchTAGF, ours: Any, inputs: dict[str, Tensor], samples: list[VADataSample]
) -> dict[str, float]:
    """Give ours the reference's weights and compare, without dropout."""
    shared = reference.state_dict()
    ours.load_state_dict({k: shared[k] for k in ours.state_dict()})
    used = {m: inputs[m] for m in USED}
    reference.eval()
    ours.eval()
    expected, found = reference(inputs), ours(used, samples).va
    # Any weights will do; those of the loss nearly cancel in some sums, whose rounding would be all there is.
    weights = torch.randn_like(expected)
    for y in (expected, found):
        (y * weights).sum().backward()
    # As a whole: where the input of a leaky ReLU is nothing but rounding, the two may take another slope.
    of_reference = {k: p.grad for k, p in reference.named_parameters() if p.grad is not None}
    apart = [of_reference[k] - p.grad for k, p in ours.named_parameters()]
    gradient = (_norm(apart) / _norm(of_reference.values())).item()
    reference.train()
    ours.train()
    output = (expected - found).abs().max().item()
    return {'output': output, 'gradient': gradient}


def _norm(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([x.norm() for x in tensors]).norm()
