"""Face detectors: images to faces with five points each."""

from abawfw.extraction.faces.detectors.base import Face, FaceDetector
from abawfw.extraction.faces.detectors.mtcnn import MTCNNDetector

__all__ = ['Face', 'FaceDetector', 'MTCNNDetector']
