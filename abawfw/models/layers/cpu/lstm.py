"""What an LSTM does with its gates, forwards and backwards, in few passes over memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.models.layers.carried_rnn import run_rnn
from abawfw.models.layers.cpu.dropout import Dropout, draw_mask, drawn_here
from abawfw.models.layers.cpu.linear import Linear, linear


class LSTMCell(torch.autograd.Function):
    """Output and cell of an LSTM from the sums that enter its gates.

    The matrix products are left to the caller. Kept for the backward pass are the gates after their
    activation and the hyperbolic tangent of the cell, nothing twice.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Run one step.

        Args:
            ctx: keeps what the backward pass needs.
            sums: (rows, 4 * hidden), what enters the input, forget, cell and output gate, in torch's order.
            cell: (rows, hidden), before the step.

        Returns:
            Output and cell, each (rows, hidden).
        """
        gates = torch.empty_like(sums)
        hidden = cell.shape[1]
        torch.sigmoid(sums[:, : 2 * hidden], out=gates[:, : 2 * hidden])
        torch.tanh(sums[:, 2 * hidden : 3 * hidden], out=gates[:, 2 * hidden : 3 * hidden])
        torch.sigmoid(sums[:, 3 * hidden :], out=gates[:, 3 * hidden :])
        i, f, g, o = gates.chunk(4, dim=1)
        after = torch.addcmul(f * cell, i, g)
        bounded = torch.tanh(after)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(gates, cell, bounded)
        return o * bounded, after

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_cell: Tensor | None) -> tuple[Tensor, Tensor]:
        """Gradients of ``sums`` and ``cell``."""
        gates, cell, bounded = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, dim=1)
        grad = torch.empty_like(gates)
        grad_i, grad_f, grad_g, grad_o = grad.chunk(4, dim=1)
        sigmoid, tanh = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        if grad_output is None:
            grad_output = torch.zeros_like(bounded)
        sigmoid.grad_input(grad_output * bounded, o, grad_input=grad_o)
        total = tanh(grad_output * o, bounded)
        if grad_cell is not None:  # it is None after the last step
            total += grad_cell
        sigmoid.grad_input(total * g, i, grad_input=grad_i)
        sigmoid.grad_input(total * cell, f, grad_input=grad_f)
        tanh.grad_input(total * i, g, grad_input=grad_g)
        return grad, total * f


def _step(sums: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """`LSTMCell`, which a compiler makes of the plain formula by itself."""
    if not torch.compiler.is_dynamo_compiling():
        return LSTMCell.apply(sums, cell)
    i, f, g, o = sums.chunk(4, dim=1)
    after = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(after), after


EPS = 1e-12  # shorter vectors are left as they are, as torch.nn.functional.normalize does


class UnitMean(torch.autograd.Function):
    """Mean over channels of ``F.normalize(x)``, without writing down the normalised vectors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """(..., channels) -> (...,), in float32 or finer."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        mean = x.mean(dim=-1, dtype=dtype)
        length = torch.linalg.vector_norm(x, dim=-1, dtype=dtype).clamp(min=EPS)
        ctx.save_for_backward(x, mean, length)
        return mean / length

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Gradient of ``x``: one part alike for all channels, one along ``x``."""
        x, mean, length = ctx.saved_tensors
        alike = grad / (length * x.shape[-1])
        along = grad * mean / length**3
        return torch.addcmul(alike[..., None].to(x.dtype), x, along[..., None].to(x.dtype), value=-1)


class StepsLSTM(nn.Module):
    """BiLSTM with a learned initial state, then a linear map of its input and output to unit vectors.

    The sequences are a handful of steps long and thousands of frames run side by side (docs/tagf.md, Models):
    a poor fit for a library's LSTM on a CPU. Here a step is one matrix product per direction, and the first
    one, in which all rows have the same state, does without the product with that state.

    Args:
        in_dim: vector length of a step.
        out_dim: vector length of the output; each direction has half of it.
        layers: of the LSTM.
        dropout: fraction dropped in training between layers and before the linear map.
    """

    def __init__(self, in_dim: int, out_dim: int, layers: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        # Holds the parameters under torch's names; run itself on a GPU, where cuDNN is fast at any length.
        self.rnn = nn.LSTM(
            in_dim, out_dim // 2, layers, batch_first=True, dropout=between, bidirectional=True
        )
        self.init_hidden = nn.Parameter(torch.empty(4 * layers, out_dim // 2))
        self.linear = Linear(in_dim + out_dim, out_dim)
        self.dropout = Dropout(dropout)
        nn.init.xavier_uniform_(self.init_hidden)

    def forward(self, steps: Sequence[Tensor]) -> list[Tensor]:
        """Map steps, each (rows, in_dim), to as many of (rows, out_dim), unit vectors."""
        return [F.normalize(x, dim=-1) for x in self.projected(steps)]

    def projected(self, steps: Sequence[Tensor]) -> list[Tensor]:
        """As :meth:`forward`, before the vectors are brought to unit length."""
        device = steps[0].device.type
        if torch.is_autocast_enabled(device):
            # Once, not in every product; and joined with them, float32 would make float32 of the outputs too.
            steps = [x.to(torch.get_autocast_dtype(device)) for x in steps]
        outputs = self.outputs(steps)
        joined = [torch.cat(pair, dim=-1) for pair in zip(steps, outputs, strict=True)]
        return [self._linear_of_dropped(x) for x in joined]

    def _linear_of_dropped(self, x: Tensor) -> Tensor:
        """Dropout and linear map of a tensor that nothing else needs."""
        if not self.training or self.dropout.p == 0 or not drawn_here(x):
            return self.linear(self.dropout(x))
        # These are the largest tensors of a model: dropped in place, and scaled by way of the weights.
        mask, scale = draw_mask(x.shape, self.dropout.p, x.dtype)
        return linear(x.mul_(mask), self.linear.weight * scale, self.linear.bias)

    def outputs(self, steps: Sequence[Tensor]) -> list[Tensor]:
        """Outputs of the LSTM for steps, each (rows, in_dim): as many of (rows, out_dim)."""
        # torch compiles the steps as they are written here, but no library's LSTM
        if steps[0].device.type != 'cpu' and not torch.compiler.is_dynamo_compiling():
            return self._by_library(steps)
        outputs = list(steps)
        h, c = self.init_hidden.chunk(2)
        for layer in range(self.rnn.num_layers):
            if layer:
                outputs = [self.dropout(x) for x in outputs]
            ahead = self._run(outputs, f'_l{layer}', h[2 * layer], c[2 * layer])
            back = self._run(outputs[::-1], f'_l{layer}_reverse', h[2 * layer + 1], c[2 * layer + 1])
            outputs = [torch.cat(pair, dim=-1) for pair in zip(ahead, back[::-1], strict=True)]
        return outputs

    def _run(self, steps: Sequence[Tensor], name: str, h: Tensor, c: Tensor) -> list[Tensor]:
        """One direction of one layer, through steps in the order in which it meets them."""
        ih, hh = getattr(self.rnn, f'weight_ih{name}'), getattr(self.rnn, f'weight_hh{name}')
        bias = getattr(self.rnn, f'bias_ih{name}') + getattr(self.rnn, f'bias_hh{name}')
        sums = linear(steps[0], ih, bias + F.linear(h, hh))
        cell = c.to(sums.dtype).expand(len(sums), -1)
        weights = torch.cat([ih, hh], dim=1)
        outputs: list[Tensor] = []
        for x in steps[1:]:
            output, cell = _step(sums, cell)
            outputs.append(output)
            sums = linear(torch.cat([x, output], dim=-1), weights, bias)
        return [*outputs, _step(sums, cell)[0]]

    def _by_library(self, steps: Sequence[Tensor]) -> list[Tensor]:
        rows = len(steps[0])
        state = tuple(s[:, None].expand(-1, rows, -1).contiguous() for s in self.init_hidden.chunk(2))
        outputs, _ = run_rnn(self.rnn, torch.stack(list(steps), dim=1), state)
        return list(outputs.to(steps[0].dtype).unbind(1))
