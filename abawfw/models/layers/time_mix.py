"""How the keys of co-attention mix the frames of a modality: four ways, in a dict by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from abawfw.errors import ConfigError, DataError
from abawfw.models.layers.cpu.linear import linear_over_time
from abawfw.models.layers.transformer import MultiheadAttention

# Frames of a window of the reference. A score is a sum over frames; the ways that are free in length take
# their mean times this number, so that one of them with 300 observed frames has the scale of the reference.
FRAMES = 300
KERNEL = 5  # frames of the depthwise convolution, as many as a convolution of the TCN before it


class LinearTimeMix(nn.Module):
    """One linear map over all frames of a window (docs/tagf.md, Models): windows of one length only.

    Every frame has its own weight, those of padding and missed frames too, which come as the encoder gives
    them: only a modality that is missed in a whole window is omitted.

    Args:
        dim: vector length of a frame.
        length: frames of every window.

    Raises:
        ConfigError: there is no length.
    """

    def __init__(self, dim: int, length: int | None) -> None:
        super().__init__()
        if length is None or length < 1:
            raise ConfigError(
                "time_mix='linear' has weights for every frame and needs length, the frames of every window, "
                f"not {length}; time_mix 'identity', 'conv' and 'attention' work with any"
            )
        self.length = length
        self.weight = nn.Parameter(torch.empty(length, length))
        self.bias = nn.Parameter(torch.zeros(length))
        nn.init.xavier_uniform_(self.weight)

    @staticmethod
    def taking_part(observed: Tensor) -> Tensor:
        """Frames that take part, (batch, time) bool, out of those observed."""
        return observed.any(dim=1, keepdim=True).expand_as(observed)

    def forward(self, x: Tensor, part: Tensor) -> Tensor:
        """Mix the frames of ``x`` (batch, length, dim).

        Raises:
            DataError: the window has another length.
        """
        if x.shape[1] != self.length:
            raise DataError(
                f"a window of {x.shape[1]} frames, but time_mix='linear' has weights for {self.length}: cut "
                f'clips with SlidingWindow({self.length}) and pad shorter ones with PadTo({self.length}), or '
                "train with time_mix 'identity', 'conv' or 'attention'"
            )
        return linear_over_time(x, self.weight, self.bias)

    def explain_mismatch(self, weights: Mapping[str, Tensor]) -> str | None:
        """What it means that weights, by the names of this module, are not of its shape; None if they are."""
        frames = weights['weight'].shape[0] if 'weight' in weights else self.length
        if frames == self.length:
            return None
        return (
            f'trained on windows of {frames} frames, the config has windows of {self.length}: set '
            f"window={frames}; weights for windows of any length need a time_mix other than 'linear', and "
            'training'
        )


class FreeTimeMix(nn.Module):
    """Any length; missed frames and padding are omitted, and a score does not grow with the length.

    Args:
        dim: vector length of a frame.
        length: not needed.
    """

    def __init__(self, dim: int, length: int | None = None) -> None:
        super().__init__()

    @staticmethod
    def taking_part(observed: Tensor) -> Tensor:
        """Frames that take part, (batch, time) bool: those observed."""
        return observed

    def forward(self, x: Tensor, part: Tensor) -> Tensor:
        """Mix and scale ``x`` (batch, time, dim), which is zero where ``part`` (batch, time) is False."""
        scale = FRAMES / part.sum(dim=1).clamp(min=1)
        mixed = self.mix(x, part)
        return mixed.masked_fill(~part[..., None], 0) * scale[:, None, None].to(mixed.dtype)

    def mix(self, x: Tensor, part: Tensor) -> Tensor:
        """(batch, time, dim) -> (batch, time, dim); frames that take no part may hold anything."""
        raise NotImplementedError


class IdentityTimeMix(FreeTimeMix):
    """No mixing: a score is a correlation over time of two channels.

    With 300 observed frames this is a linear mix whose matrix is the identity.
    """

    def mix(self, x: Tensor, part: Tensor) -> Tensor:
        """(batch, time, dim), as it is."""
        return x


class ConvTimeMix(FreeTimeMix):
    """Each channel convolved over neighbouring frames; starts as the identity.

    Args:
        dim: vector length of a frame.
        length: not needed.
    """

    def __init__(self, dim: int, length: int | None = None) -> None:
        super().__init__(dim)
        # No bias: a key would not vanish with what it is made of.
        self.conv = nn.Conv1d(dim, dim, KERNEL, padding=KERNEL // 2, groups=dim, bias=False)
        nn.init.dirac_(self.conv.weight, groups=dim)

    def mix(self, x: Tensor, part: Tensor) -> Tensor:
        """(batch, time, dim) -> (batch, time, dim)."""
        return self.conv(x.mT).mT


class AttentionTimeMix(FreeTimeMix):
    """Self-attention over the frames that were observed.

    Args:
        dim: vector length of a frame.
        length: not needed.
    """

    def __init__(self, dim: int, length: int | None = None) -> None:
        super().__init__(dim)
        self.attention = MultiheadAttention(dim, heads=1)

    def mix(self, x: Tensor, part: Tensor) -> Tensor:
        """(batch, time, dim) -> (batch, time, dim)."""
        # Softmax needs a frame to attend to, even where nothing takes part.
        nothing = ~part.any(dim=1, keepdim=True)
        return self.attention(x, mask=part | nothing)


TIME_MIXES: dict[str, type[LinearTimeMix] | type[FreeTimeMix]] = {
    'linear': LinearTimeMix,
    'identity': IdentityTimeMix,
    'conv': ConvTimeMix,
    'attention': AttentionTimeMix,
}
