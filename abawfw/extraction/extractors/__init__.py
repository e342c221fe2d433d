"""Extractors: faces, audio or transcript to one row per frame."""

from __future__ import annotations

from typing import Any

from abawfw.components import construct_named
from abawfw.extraction.extractors.base import AudioExtractor, Extractor, FaceExtractor, TranscriptExtractor
from abawfw.extraction.extractors.bert import Bert
from abawfw.extraction.extractors.compare import ComParE
from abawfw.extraction.extractors.egemaps import EGeMAPS
from abawfw.extraction.extractors.face48 import Face48
from abawfw.extraction.extractors.face_embedding import FaceEmbedding
from abawfw.extraction.extractors.face_onnx import FaceOnnx
from abawfw.extraction.extractors.logmel import LogMel
from abawfw.extraction.extractors.mfcc import MFCC
from abawfw.extraction.extractors.sound_onnx import SoundOnnx
from abawfw.extraction.extractors.vggish import VGGishFeature
from abawfw.extraction.extractors.wav2vec2 import Wav2Vec2
from abawfw.registry import EXTRACTORS

__all__ = [
    'MFCC',
    'AudioExtractor',
    'Bert',
    'ComParE',
    'EGeMAPS',
    'Extractor',
    'Face48',
    'FaceEmbedding',
    'FaceExtractor',
    'FaceOnnx',
    'LogMel',
    'SoundOnnx',
    'TranscriptExtractor',
    'VGGishFeature',
    'Wav2Vec2',
    'build_extractor',
]


def build_extractor(name: str, device: str = 'cpu', /, **options: Any) -> Extractor:
    """An extractor by the name of its feature.

    Args:
        name: such as ``logmel``.
        device: what runs its network, if it has one and no option names another.
        options: arguments of its class.

    Raises:
        ConfigError: there is no such extractor, or it has no such option or value.
    """
    place = f'feature {name!r}'
    built: Extractor = construct_named(
        EXTRACTORS, name, options, place, ' cannot be extracted', device=device
    )
    return built
