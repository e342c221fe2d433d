"""From raw video to a store: reading, faces, audio, extractors, and the work over many videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.extraction.audio.audio import Audio
    from abawfw.extraction.extractors.base import (
        AudioExtractor,
        Extractor,
        FaceExtractor,
        TranscriptExtractor,
    )
    from abawfw.extraction.faces.track import FaceTrack, find_faces
    from abawfw.extraction.pipeline.extract import ExtractionReport, extract_video
    from abawfw.extraction.video.recording import Recording

lazy(__name__)
