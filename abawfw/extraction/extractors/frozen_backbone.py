"""A backbone with its weights, as an extractor uses it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.components import building
from abawfw.devices import find_device
from abawfw.errors import CheckpointError, ConfigError, DataError, nearest
from abawfw.extraction.extractors.base import fingerprint
from abawfw.registry import BACKBONES


class FrozenBackbone:
    """A component of BACKBONES in evaluation mode; built, and its weights read, when first used.

    Args:
        feature: that it makes, for errors.
        backbone: config of the component, ``type`` and arguments other than ``in_dim`` and ``weights``.
        in_dim: shape of a frame.
        weights: file of weights; may be omitted where the backbone brings its own (``pretrained=True``).
        device: where it runs, as `find_device` takes it.
    """

    def __init__(
        self,
        feature: str,
        backbone: Mapping[str, Any],
        in_dim: tuple[int, ...],
        weights: str | Path | None,
        device: str,
    ) -> None:
        self._feature, self._backbone, self._in_dim = feature, dict(backbone), in_dim
        self._weights, self._device = weights, device

    @property
    def out_dim(self) -> int:
        """Length of a vector."""
        return int(self._built.out_dim)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`; weights by what is in the file.

        Raises:
            DataError: no weights are given.
            CheckpointError: the file of weights is missing.
        """
        self._check_weights()
        weights = {} if self._weights is None else {'weights': fingerprint(Path(self._weights))}
        return {'backbone': self._backbone, **weights}

    def check(self) -> None:
        """Build the backbone and read its weights.

        Raises:
            ConfigError: the backbone cannot be built.
            DataError: no weights are given.
            CheckpointError: the file of weights is missing, or is not of this backbone.
        """
        self._check_weights()
        _ = self._ready

    def __call__(self, frames: NDArray) -> NDArray[np.float32]:
        """Vectors (n, out_dim) of frames (n, *in_dim)."""
        import torch

        with torch.inference_mode():
            vectors = self._ready(torch.from_numpy(np.ascontiguousarray(frames)).to(self._place))
        return np.asarray(vectors.float().cpu().numpy())

    def _check_weights(self) -> None:
        kind = str(self._backbone.get('type'))
        component = BACKBONES.get(kind)
        if component is None:
            raise ConfigError(
                f'feature {self._feature!r}: no backbone {kind!r}; {nearest(kind, BACKBONES.module_dict)}'
            )
        source = getattr(component, 'weights_source', '')
        if self._weights is None and not self._backbone.get('pretrained'):
            raise DataError(
                f'feature {self._feature!r} needs weights=FILE, as vectors of an untrained network are '
                f'meaningless' + (f'; {source}' if source else '')
            )
        if self._weights is not None and not Path(self._weights).is_file():
            from abawfw.models.weight_files import missing_file

            raise CheckpointError(f'feature {self._feature!r}: {missing_file(Path(self._weights), source)}')

    @cached_property
    def _built(self) -> Any:
        with building(f'feature {self._feature!r}: backbone {self._backbone}'):
            return BACKBONES.build({**self._backbone, 'in_dim': self._in_dim})

    @cached_property
    def _place(self) -> str:
        return find_device(self._device)

    @cached_property
    def _ready(self) -> Any:
        """With its weights, on its device."""
        from abawfw.models.weight_files import load_pretrained

        built = self._built
        if self._weights is None:
            built.init_weights()
        else:
            report = load_pretrained(getattr(built, 'network', built), self._weights)
            # counted in training only; older files lack it
            lacking = [n for n in report.missing if not n.endswith('num_batches_tracked')] + report.shapes
            if lacking:
                raise CheckpointError(
                    f'feature {self._feature!r}: {self._weights} does not fit {self._backbone["type"]} as '
                    f'built: {len(lacking)} tensors are missing or of another shape, first {lacking[0]}'
                )
        return built.eval().requires_grad_(False).to(self._place)
