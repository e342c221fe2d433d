"""Face detectors: pictures to faces with five points each."""

from abawfw.features.detectors.base import Face, FaceDetector
from abawfw.features.detectors.mtcnn import MTCNNDetector

__all__ = ['Face', 'FaceDetector', 'MTCNNDetector']
