"""VGGish, for audio."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from abawfw.components import Width
from abawfw.models.backbones.frame_backbone import FrameBackbone
from abawfw.registry import BACKBONES


@BACKBONES.register_module()
class VGGish(FrameBackbone):
    """.96 s of log-mel spectrogram to a vector of 128 numbers, without PCA (docs/tagf.md, Models).

    The parts are ``features.0`` to ``features.15`` and the fully connected layers ``embeddings.0``,
    ``embeddings.2`` and ``embeddings.4``, with the parameter names of the usual public weights.

    Args:
        in_dim: shape of a frame, (96, 64): mel frames by mel bands.
        hidden: width of the first two fully connected layers; 4096 is VGGish.
        width: channels of the first convolution, of which the others are multiples; 64 is VGGish.
        weights: file of pre-trained weights, read before training.

    Raises:
        ConfigError: frames of another shape.
    """

    weights_source = (
        'VGGish for PyTorch is vggish-10086976.pth among the releases of github.com/harritaylor/torchvggish'
    )

    def __init__(
        self,
        in_dim: Sequence[int],
        hidden: Width = 4096,
        width: Width = 64,
        weights: str | None = None,
    ) -> None:
        super().__init__(in_dim, (96, 64), 128, weights)
        layers: list[nn.Module] = []
        channels = 1
        for convolutions in ((width,), (2 * width,), (4 * width,) * 2, (8 * width,) * 2):
            for out in convolutions:
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True)]
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.flatten = _TimeFirst()
        self.embeddings = nn.Sequential(
            nn.Linear(channels * 6 * 4, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 128),
        )

    def stages(self) -> list[nn.Module]:
        """The layers, one by one."""
        return [*self.features, self.flatten, *self.embeddings]

    def prepare(self, frames: Tensor) -> Tensor:
        """Spectrograms (n, 96, 64) of any type to (n, 1, 96, 64) float32."""
        # channels last: a quarter faster on a CPU, and nothing is to be moved before the linear layers
        return frames.float().unsqueeze(1).to(memory_format=torch.channels_last)


class _TimeFirst(nn.Module):
    """(n, channels, time, bands) to (n, time * bands * channels), the order of the public weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten with the channels last."""
        return x.permute(0, 2, 3, 1).flatten(1)
