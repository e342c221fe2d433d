"""What an LSTM does with its gates, forwards and backwards, in few passes over memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
