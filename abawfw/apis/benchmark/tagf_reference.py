"""TAGF as its reference composes it, written from torch's own parts (docs/tagf.md, Models)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

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
