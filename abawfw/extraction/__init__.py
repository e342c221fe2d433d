"""From raw video to a store: reading, faces, sound, extractors, and the work over many videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.extraction.audio.sound import Sound
    from abawfw.extraction.extractors.base import Extractor, FaceExtractor, SoundExtractor, WordExtractor
    from abawfw.extraction.faces.track import FaceTrack, find_faces
    from abawfw.extraction.pipeline.extract import ExtractionReport, extract_video
    from abawfw.extraction.video.recording import Recording

__all__ = [
    'ExtractionReport',
    'Extractor',
    'FaceExtractor',
    'FaceTrack',
    'Recording',
    'Sound',
    'SoundExtractor',
    'WordExtractor',
    'extract_video',
    'find_faces',
]

lazy(__name__)
