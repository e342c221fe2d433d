"""The residual network of ArcFace, for faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Len
from torch import Tensor, nn
from torch.nn.functional import batch_norm, normalize

from abawfw.components import Depth, Probability, Width
from abawfw.errors import ConfigError
from abawfw.models.backbones.frame_backbone import FrameBackbone
from abawfw.registry import BACKBONES

# side of a face -> stride of the first of the four stages, and side of what the last one gives
SIZES = {40: (1, 5), 112: (2, 7)}


@BACKBONES.register_module()
class IResNet(FrameBackbone):
    """IR-50 of ArcFace: a face to a vector of 512 numbers and length 1 (docs/tagf.md, Models).

    The parts, in order, are ``input_layer``, ``body.0`` to ``body.23`` (the last unit of each stage is 2, 6,
    20 and 23) and ``output_layer``, with the parameter names of the usual public weights.

    Args:
        in_dim: shape of a frame, (size, size, 3).
        size: side of a face in pixels: 40, or 112 as in ArcFace.
        units: residual units of each of the four stages; (3, 4, 14, 3) is IR-50.
        width: channels of the first stage; each stage doubles them. 64 is IR-50.
        dropout: probability of dropping a value before the output's linear layer.
        weights: file of pre-trained weights, read before training.

    Raises:
        ConfigError: frames or arguments of another size.
    """

    weights_source = (
        'the face weights res50_ir_0.887.pth (40 pixels) go with the code of ABAW3, github.com/sucv/ABAW3; '
        'IR-50 trained by ArcFace on 112 pixels is in the model zoo of face.evoLVe'
    )

    def __init__(
        self,
        in_dim: Sequence[int],
        size: Literal[40, 112] = 40,
        units: Annotated[Sequence[Depth], Len(4, 4)] = (3, 4, 14, 3),
        width: Width = 64,
        dropout: Probability = 0.4,
        weights: str | None = None,
    ) -> None:
        if size not in SIZES:
            raise ConfigError(f'IResNet(size={size}): there are 40 and 112')
        if len(units) != 4 or min(units) < 1:
            raise ConfigError(f'IResNet(units={tuple(units)}): four stages of at least one unit')
        super().__init__(in_dim, (size, size, 3), 512, weights)
        self.set_scale((0.5,) * 3, (0.5,) * 3)
        first_stride, side = SIZES[size]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        body: list[nn.Module] = []
        channels = width
        for stage, count in enumerate(units):
            out = width * 2**stage
            for unit in range(count):
                stride = 1 if unit else first_stride if stage == 0 else 2
                body.append(_Unit(channels, out, stride))
                channels = out
        self.body = nn.Sequential(*body)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(channels * side * side, 512),
            _BatchNorm(512),
        )

    def stages(self) -> list[nn.Module]:
        """input_layer, the units of the body, output_layer."""
        return [self.input_layer, *self.body, self.output_layer]

    def prepare(self, frames: Tensor) -> Tensor:
        """Pixels (n, size, size, 3), uint8 or already within [-1, 1], to (n, 3, size, size) float32."""
        return self.scaled(frames).movedim(-1, 1)

    def finish(self, vectors: Tensor) -> Tensor:
        """Vectors of length 1; one of zeros stays as it is."""
        return normalize(vectors.float(), dim=-1)


class _BatchNorm(nn.BatchNorm1d):
    """Takes running statistics where a batch is a single frame, which has no standard deviation."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels) to the same."""
        if len(x) > 1:
            return super().forward(x)
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class _Pointwise(nn.Conv2d):
    """Convolution of single pixels, of which the stride takes every second one before the product.

    The gradient of oneDNN's own strided one (torch 2.13, AVX2, one thread, channels last) writes past its
    memory where there are fewer than 8 channels.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__(channels, out, 1, bias=False)
        self.taken = stride

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, out, height / stride, width / stride)."""
        return super().forward(x[..., :: self.taken, :: self.taken])


class _Unit(nn.Module):
    """Residual unit of ArcFace: BN, convolution, PReLU, convolution with stride, BN."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if channels == out:
            self.shortcut_layer = nn.MaxPool2d(1, stride)  # every stride-th pixel
        else:
            self.shortcut_layer = nn.Sequential(_Pointwise(channels, out, stride=stride), nn.BatchNorm2d(out))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, out, 3, 1, 1, bias=False),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, out, height / stride, width / stride)."""
        residual: Tensor = self.res_layer(x)
        return residual + self.shortcut_layer(x)
