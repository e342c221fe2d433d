"""Small faces, for networks that start from pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.extractors.base import FaceExtractor
from abawfw.extraction.packages import optional_package
from abawfw.registry import EXTRACTORS

SIDE = 48


@EXTRACTORS.register_module('face48')
class Face48(FaceExtractor):
    """Faces of 48 x 48 pixels, RGB, each the mean of the pixels of the aligned face that it covers."""

    name = 'face48'
    dtype = 'uint8'

    @property
    def dims(self) -> tuple[int, ...]:
        """Shape of a face."""
        return (SIDE, SIDE, 3)

    def check(self) -> None:
        """See `Extractor.check`."""
        optional_package('cv2', 'features', self.name)

    def extract(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(n, 48, 48, 3) of faces (n, 112, 112, 3)."""
        return resize_faces(faces, SIDE)


def resize_faces(faces: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Faces (n, height, width, 3) to (n, side, side, 3) by area, which loses no pixel when it shrinks."""
    if faces.shape[1:3] == (side, side):
        return faces
    cv2 = optional_package('cv2', 'features', 'resizing faces')
    resized = np.empty((len(faces), side, side, 3), np.uint8)
    for face, out in zip(faces, resized, strict=True):
        cv2.resize(face, (side, side), dst=out, interpolation=cv2.INTER_AREA)
    return resized
