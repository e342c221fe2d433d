"""In which frames of a video of a store there is a face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores import TrialStore
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.trial_recording import TRACK, read_track
from abawfw.registry import EXTRACTORS

EMBEDDING = '_embedding'
PICTURES = 'video'
"""What configs call pictures of faces, and what embeddings of them begin with."""
OTHERS = ('denseface', 'affectnet', 'vggface2', 'FAU', 'FAU_situ', 'head_pose', 'eye_gaze')
"""Features of faces that RUCAIM3 made with other tools (arXiv:2203.13032)."""


def face_frames(store: FeatureStore, video_id: str, features: Sequence[str]) -> NDArray[np.bool_] | None:
    """Where a face was found, (frames,); None where that is unknown.

    By the track that extraction left beside the features, or else where all features of faces among
    ``features`` were observed that have a mask.

    Raises:
        DataError: the track is damaged.
    """
    num_frames = store.video(video_id).num_frames
    path = store.root / video_id / TRACK
    if isinstance(store, TrialStore) and path.is_file():
        found, _ = read_track(path, num_frames)
        return found
    known = set(store.feature_names())
    masks = [
        store.valid(video_id, feature, 0, num_frames)
        for feature in features
        if feature in known and shows_faces(feature) and store.has_mask(video_id, feature)
    ]
    return np.logical_and.reduce(masks) if masks else None


def shows_faces(feature: str) -> bool:
    """Whether a feature is made of faces, by its name."""
    component = EXTRACTORS.get(feature)
    if component is not None:
        return getattr(component, 'source', None) == 'face'
    return feature.removesuffix(EMBEDDING) == PICTURES or feature in OTHERS
