"""Vectors of faces from any backbone."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.components import Count
from abawfw.extraction.extractors.base import FaceExtractor
from abawfw.extraction.extractors.face48 import resize_faces
from abawfw.extraction.extractors.frozen_backbone import FrozenBackbone
from abawfw.registry import BACKBONES, EXTRACTORS


@EXTRACTORS.register_module('face_embedding')
class FaceEmbedding(FaceExtractor):
    """What a backbone gives for each aligned face.

    Args:
        weights: file of weights of the backbone; `check` says where one is. May be omitted where the
            backbone brings its own, as ``timm:NAME`` with ``pretrained=True`` does.
        backbone: component of BACKBONES by name, or its config: ``type`` and further arguments.
        size: side in pixels to which faces are shrunk by area before they are given.
        device: where the network runs.
    """

    name = 'face_embedding'

    def __init__(
        self,
        weights: str | Path | None = None,
        backbone: str | dict[str, Any] = 'IResNet',
        size: Count = 112,
        device: str = 'cpu',
    ) -> None:
        cfg: dict[str, Any] = {'type': backbone} if isinstance(backbone, str) else dict(backbone)
        component = BACKBONES.get(str(cfg.get('type')))
        if component is not None and 'size' in inspect.signature(component).parameters:
            cfg.setdefault('size', size)
        self._size = size
        self._network = FrozenBackbone(self.name, cfg, (size, size, 3), weights, device)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of a vector, which the backbone decides."""
        return (self._network.out_dim,)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`."""
        return {'size': self._size, **self._network.settings()}

    def check(self) -> None:
        """See `Extractor.check`."""
        self._network.check()

    def extract(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, *dims) of faces (n, 112, 112, 3)."""
        return self._network(resize_faces(faces, self._size))
