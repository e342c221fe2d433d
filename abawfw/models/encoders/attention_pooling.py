"""Tokens of a lower rate: the frames of a part of a clip, summed up by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from abawfw.components import Count, Probability, Width
from abawfw.models.layers import Dropout
from abawfw.models.layers.cpu.linear import Linear
from abawfw.registry import ENCODERS

EPS = 1e-6  # of the variance


@ENCODERS.register_module()
class AttentionPooling(nn.Module):
    """Mean and standard deviation of the frames of a part: the tokens of team RAS's audio (arXiv:2603.13056).

    A clip is cut into parts of equal length from its first frame on. A small MLP scores every frame, and a
    softmax over the frames observed in a part weighs them. All frames of a part are given its token, as
    ``ReliabilityFusion(tokens=...)`` takes it; a part without observed frames has one of zeros. The reference
    cuts windows of 4 s into 4 parts, rounds where these are not of equal length, and lets a part without
    observed frames keep its first.

    Args:
        in_dim: vector length of a frame, such as a hidden state of a speech model.
        frames: of a part; a second of them in the reference.
        hidden: width of the scoring MLP.
        dropout: fraction of its activations dropped in training.
    """

    needs = 'every frame of a part is given what the part sums up to, later frames too'

    def __init__(self, in_dim: int, frames: Count, hidden: Width = 128, dropout: Probability = 0.2) -> None:
        super().__init__()
        self.frames, self.out_dim = frames, 2 * in_dim
        self.scores = nn.Sequential(
            Linear(in_dim, hidden), nn.Tanh(), Dropout(dropout), nn.Linear(hidden, 1, bias=False)
        )

    def forward(self, x: Tensor, observed: Tensor) -> Tensor:
        """Map a sequence to one of the same length.

        Args:
            x: (batch, time, in_dim).
            observed: (batch, time) bool.

        Returns:
            (batch, time, 2 in_dim): means, then standard deviations.
        """
        x = x.masked_fill(~observed[..., None], 0)
        part, members = self._parts(observed)
        some = members.any(dim=-1, keepdim=True)
        # A softmax over nothing would be NaN: such a part sees the whole clip, and the result is omitted.
        scores = self.scores(x).mT.masked_fill(~(members | ~some), float('-inf'))
        weights = scores.softmax(dim=-1)
        mean = weights @ x
        # around the clip's own mean, or the difference of two large squares would lose digits
        centre = x.mean(dim=1, keepdim=True)
        variance = weights @ (x - centre).square() - (mean - centre).square()
        token = torch.cat([mean, (variance.clamp(min=0) + EPS).sqrt()], dim=-1).masked_fill(~some, 0)
        return token.index_select(1, part)

    def observed_after(self, observed: Tensor) -> Tensor:
        """Where there is a token, (batch, time) bool: in all frames of a part with an observed one."""
        part, members = self._parts(observed)
        return members.any(dim=-1).index_select(1, part)

    def _parts(self, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The part of each frame, (time,), and the observed frames of each, (batch, parts, time) bool."""
        frames = observed.shape[1]
        part = torch.arange(frames, device=observed.device) // self.frames
        starts = torch.arange(0, frames, self.frames, device=observed.device) // self.frames
        return part, (part == starts[:, None]) & observed[:, None]
