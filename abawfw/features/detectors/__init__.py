"""Face detectors: pictures to faces with five points each."""

from abawfw.features.detectors.base import Face, FaceDetector

__all__ = ['Face', 'FaceDetector']
