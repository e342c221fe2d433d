"""What is known of a video after inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from abawfw.features.face_track import FaceTrack


@dataclass(frozen=True)
class VideoPrediction:
    """Curves of a video.

    Attributes:
        table: one row per decoded frame, as ``VAInferencer`` describes it; ``face`` tells where a face was
            detected, and is missing (NA) for a run that looks at no face.
        track: where the face is, for a run that looks at faces.
        notes: what was missing, repaired or taken for granted, a line each.
    """

    table: pd.DataFrame
    track: FaceTrack | None
    notes: tuple[str, ...]
