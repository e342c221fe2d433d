"""What all backbones have in common: checked frames, memory, pre-trained weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from abawfw.errors import ConfigError, DataError
from abawfw.models.weight_files import load_pretrained

CHUNK = 64
"""Frames at a time where nothing is learnt: more are slower on a CPU. The widest activations then take 26 MB
in IR-50 and 100 MB in VGGish."""
FRAME_BYTES = 1 << 24
"""What a frame may take on a GPU, ten times the widest activation of these: networks of others are wider."""


def frames_at_once(device: torch.device) -> int:
    """Frames at a time where nothing is learnt: on a GPU as many as a quarter of its memory surely holds.

    A GPU is idle between the kernels of small chunks: 57 of them for 12 windows of 300 frames by 64.
    """
    if device.type != 'cuda' or not torch.cuda.is_available():
        return CHUNK
    memory = torch.cuda.get_device_properties(device).total_memory
    return max(CHUNK, memory // 4 // FRAME_BYTES)


class FrameBackbone(nn.Module, ABC):
    """One vector per frame, of each frame alone.

    A subclass lists its stages in order. The first ones that learn nothing and are in evaluation mode,
    such as all those of a frozen backbone, run without gradient memory and on some frames at a time
    (`frames_at_once`): on a CPU, a batch of 12 windows of 300 frames then needs megabytes. The stages
    from the first one that learns see all frames.

    Args:
        in_dim: shape of a frame as the dataset gives it.
        expected: shape of a frame as the network takes it.
        out_dim: length of a vector.
        weights: file of pre-trained weights; see `load_pretrained`.

    Raises:
        ConfigError: the two shapes differ.
    """

    weights_source: ClassVar[str] = ''
    """Where a user gets pre-trained weights."""
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self, in_dim: int | Sequence[int], expected: Sequence[int], out_dim: int, weights: str | None
    ) -> None:
        super().__init__()
        self.in_dim = tuple(expected)
        self.out_dim = out_dim
        self.weights = weights
        found = (in_dim,) if isinstance(in_dim, int) else tuple(in_dim)
        if found != self.in_dim:
            raise ConfigError(
                f'{type(self).__name__} takes frames of shape {self.in_dim}, the dataset gives {found}: crop '
                f'or resize them in the pipeline, or choose a backbone for this size'
            )

    def set_scale(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Mean and standard deviation of the pixels of each channel, between 0 and 1.

        Not saved: they are the network's. As buffers they are uploaded once, with it.
        """
        self.register_buffer('pixel_mean', torch.tensor(mean), persistent=False)
        self.register_buffer('pixel_std', torch.tensor(std), persistent=False)

    def scaled(self, frames: Tensor) -> Tensor:
        """Pixels (n, height, width, channels) as uint8 to float32, (x / 255 - mean) / std.

        Any other type is taken as scaled already.
        """
        if frames.dtype != torch.uint8:
            return frames.float()
        return frames.float().div_(255).sub_(self.pixel_mean).div_(self.pixel_std)

    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """The parts, each of which takes what the one before returns."""

    @abstractmethod
    def prepare(self, frames: Tensor) -> Tensor:
        """Frames (n, *in_dim) as the first stage takes them: float32, channel first."""

    def finish(self, vectors: Tensor) -> Tensor:
        """What the last stage returned, (n, out_dim), as it leaves the backbone."""
        return vectors

    @property
    def network(self) -> nn.Module:
        """What pre-trained weights are for."""
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """Vectors (n, out_dim) of frames (n, *in_dim).

        Raises:
            DataError: frames of another shape.
        """
        if tuple(frames.shape[1:]) != self.in_dim:
            raise DataError(
                f'{type(self).__name__} takes frames of shape {self.in_dim}, not {tuple(frames.shape[1:])}'
            )
        stages = list(self.stages())
        still = 0
        # An exported graph, for any number of frames, has no loop over chunks.
        if not torch.compiler.is_exporting() and not frames.requires_grad:
            while still < len(stages) and _learns_nothing(stages[still]):
                still += 1
        if still:
            with torch.no_grad():
                parts = [
                    _run(stages[:still], self.prepare(part))
                    for part in frames.split(frames_at_once(frames.device))
                ]
                x = torch.cat(parts)
        else:
            x = self.prepare(frames)
        return self.finish(_run(stages[still:], x))

    def init_weights(self) -> None:
        """Load the pre-trained weights, if there are any, and log what fitted.

        Raises:
            CheckpointError: the file is missing, cannot be read, or holds nothing of this network.
        """
        if self.weights is None:
            return
        report = load_pretrained(self.network, self.weights, self.weights_source)
        print_log(str(report), logger='current', level=report.log_level)


def _learns_nothing(stage: nn.Module) -> bool:
    """Whether a stage gives the same for a frame whatever is beside it, and no gradient is asked of it."""
    if any(part.training for part in stage.modules()):
        return False
    return not torch.is_grad_enabled() or not any(p.requires_grad for p in stage.parameters())


def _run(stages: Sequence[nn.Module], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x
