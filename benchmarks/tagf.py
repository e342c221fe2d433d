"""A training step of TAGF against what the reference's own composition of torch's parts costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from abawfw.registry import MODELS
from abawfw.structures import VABatch, VAClip
from benchmarks.timing import Spread, in_turn, second_step

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
        CPU seconds of a step of the reference; of each variant, and divided by the reference's in the same
        round; the largest difference of outputs, and the length of the difference of gradients divided by
        that of the gradient, between the reference and our faithful model with the same weights, without
        dropout.
    """
    torch.manual_seed(0)
    inputs = {m: torch.randn(batch, length, dim) for m, (dim, _) in ENCODERS.items()}
    labels = torch.rand(batch, length, 2) * 2 - 1
    reference = TorchTAGF(length)
    actions: dict[str, Callable[[], float]] = {}
    actions['reference'] = _action(reference, lambda: _ccc_loss(reference(inputs), labels))
    samples = _samples(labels)
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


def _samples(labels: Tensor) -> VABatch:
    frames = labels.shape[1]
    valid = torch.ones(frames, dtype=torch.bool)
    seen = torch.ones(frames, len(USED), dtype=torch.bool)
    return VABatch.of([VAClip('v', 0, frames, frames, 0, True, x, valid, seen) for x in labels])


def _loss(model: Any, inputs: dict[str, Tensor], samples: VABatch, dtype: Any = None) -> Tensor:
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
    return second_step(torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-3), loss)


def _differences(
    reference: TorchTAGF, ours: Any, inputs: dict[str, Tensor], samples: VABatch
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


SLOPE = 0.01  # of the leaky ReLUs
# Vector length of each modality and its encoder's channels. Only the first two enter the fusion.
ENCODERS = {
    'video': (512, (512, 512, 256, 256)),
    'logmel': (128, (128, 128, 128, 128)),
    'bert': (768, (256, 256, 128, 128)),
    'vggish': (128, (64, 64, 32, 32)),
}


class TorchTAGF(nn.Module):
    """The whole model of one target; what is used of it has the names of our estimator's parameters.

    Args:
        length: frames of a window.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({m: _Encoder(dim, out) for m, (dim, out) in ENCODERS.items()})
        self.fusion = _Fusion({'video': 256, 'logmel': 128}, length)
        self.head = _Head(384)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Map ``{modality: (batch, time, dim)}`` to predictions (batch, time, 1)."""
        encoded = {m: encoder(inputs[m]) for m, encoder in self.encoders.items()}
        return self.head(self.fusion({m: encoded[m] for m in self.fusion.gates}))


class _Encoder(nn.Module):
    def __init__(self, in_dim: int, channels: Sequence[int]) -> None:
        super().__init__()
        levels = enumerate(pairwise([in_dim, *channels]))
        self.tcn: Any = nn.Module()
        self.tcn.network = nn.Sequential(*(_Block(a, b, 2**level) for level, (a, b) in levels))
        self.norm = nn.BatchNorm1d(channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.tcn.network(x.transpose(1, 2))).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, in_dim: int, out_dim: int, dilation: int) -> None:
        super().__init__()
        self.padding = 4 * dilation
        self.conv1 = weight_norm(nn.Conv1d(in_dim, out_dim, 5, padding=self.padding, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(out_dim, out_dim, 5, padding=self.padding, dilation=dilation))
        self.dropout = nn.Dropout(0.1)
        self.downsample = nn.Conv1d(in_dim, out_dim, 1) if in_dim != out_dim else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in (self.conv1, self.conv2):
            # Padded on both sides, the frames too many cut off.
            y = self.dropout(F.leaky_relu(conv(y)[..., : -self.padding].contiguous(), SLOPE))
        return F.leaky_relu(y + self.downsample(x), SLOPE)


class _Fusion(nn.Module):
    def __init__(self, dims: dict[str, int], length: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(_Step(dims, length) for _ in range(2))
        self.gates = nn.ModuleDict({m: _Gate(dim) for m, dim in dims.items()})
        # Built and never run: a joint LSTM and two regressors.
        self.unused = nn.ModuleList(
            [nn.LSTM(1024, 256, 2, bidirectional=True), nn.Linear(1536, 512)]
            + [nn.Sequential(nn.Linear(512, 128), nn.Linear(128, 1)) for _ in range(2)]
        )

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        states = [{m: F.normalize(v, dim=-1) for m, v in x.items()}]
        for step in self.steps:
            states.append(step(states[-1]))
        gated = [gate(torch.stack([s[m] for s in states], dim=2)) for m, gate in self.gates.items()]
        return torch.cat(gated, dim=-1)


class _Step(nn.Module):
    def __init__(self, dims: dict[str, int], length: int) -> None:
        super().__init__()
        width = sum(dims.values())
        self.joint = nn.Linear(width, width)
        self.keys = nn.ModuleDict({m: nn.Linear(length, length) for m in dims})
        self.values = nn.ModuleDict({m: nn.Linear(dim, dim) for m, dim in dims.items()})
        self.outputs = nn.ModuleDict({m: nn.Linear(width, dim) for m, dim in dims.items()})
        self.dropout = nn.Dropout(0.6)

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        joint = self.joint(torch.cat(list(x.values()), dim=-1))
        updated = {}
        for m, v in x.items():
            scores = torch.bmm(self.keys[m](v.transpose(1, 2)), joint) / math.sqrt(joint.shape[-1])
            weighted = F.relu(torch.tanh(torch.bmm(self.values[m](v), self.dropout(torch.tanh(scores)))))
            updated[m] = v + self.dropout(F.relu(self.outputs[m](weighted), inplace=True))
        return updated


class _Gate(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lstm: Any = nn.Module()
        self.lstm.rnn = nn.LSTM(dim, dim, batch_first=True, bidirectional=True)
        self.lstm.linear = nn.Linear(3 * dim, 2 * dim)
        self.lstm.init_hidden = nn.Parameter(nn.init.xavier_uniform_(torch.empty(4, dim)))
        self.dropout = nn.Dropout(0.1)

    def forward(self, states: Tensor) -> Tensor:
        rows = states.flatten(0, 1)
        start = self.lstm.init_hidden[:, None].expand(-1, len(rows), -1).contiguous()
        outputs = self.lstm.rnn(rows, (start[:2], start[2:]))[0]
        vectors = F.normalize(self.lstm.linear(self.dropout(torch.cat([rows, outputs], -1))), dim=-1)
        weights = F.softmax(vectors.mean(-1) / 0.1, dim=1)
        return (rows * weights[..., None]).sum(1).view(*states.shape[:2], -1)


class _Head(nn.Module):
    def __init__(self, in_dim: int) -> None:
        super().__init__()
        layer: Any = nn.Module()
        layer.linear, layer.norm = nn.Linear(in_dim, 256), nn.BatchNorm1d(256)
        self.hidden = nn.ModuleList([layer])
        self.out = nn.Linear(256, 1)

    def forward(self, x: Tensor) -> Tensor:
        layer: Any = self.hidden[0]
        x = layer.norm(layer.linear(x).transpose(1, 2)).transpose(1, 2)
        return torch.tanh(self.out(F.leaky_relu(x, SLOPE)))
