"""Checks that crops share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.errors import ConfigError

Dims = int | tuple[int, ...]


def check_size(name: str, size: int) -> None:
    """ConfigError if ``size`` is no size of a crop."""
    if size < 1:
        raise ConfigError(f'{name}(size={size}): a crop has at least one pixel')


def room(name: str, feature: str, dims: Any, size: int) -> tuple[int, int]:
    """How far down and to the right a crop of ``size`` can lie in an image (height, width, colours).

    Raises:
        ConfigError: this is no image, or a smaller one.
    """
    if not isinstance(dims, tuple) or len(dims) != 3 or min(dims[:2]) < size:
        raise ConfigError(
            f'{name}(size={size}): a frame of feature {feature!r} is {dims}, expected an image (height, '
            f'width, colours) of at least {size}x{size}'
        )
    return dims[0] - size, dims[1] - size


def cropped_dims(
    name: str, input_dims: dict[str, Dims], features: Sequence[str], size: int
) -> dict[str, Dims]:
    """Sizes of frames after cropping, by feature; ConfigError where they cannot be cropped."""
    after = dict(input_dims)
    for feature in features:
        dims = input_dims[feature]
        room(name, feature, dims, size)
        after[feature] = (size, size, *dims[2:]) if isinstance(dims, tuple) else dims
    return after
