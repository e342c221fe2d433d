"""What was observed of a video: its face, frame by frame, and whether there is anything to predict from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores import TrialStore
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.trials.files import TRACK, read_track
from abawfw.errors import DataError
from abawfw.registry import EXTRACTORS

EMBEDDING = '_embedding'
IMAGES = 'video'
"""What configs call images of faces, and what embeddings of them begin with."""
OTHERS = ('denseface', 'affectnet', 'vggface2', 'FAU', 'FAU_situ', 'head_pose', 'eye_gaze')
"""Features of faces that RUCAIM3 made with other tools (arXiv:2203.13032)."""


def face_frames(store: FeatureStore, video_id: str, features: Sequence[str]) -> NDArray[np.bool_] | None:
    """Where a face was found, (frames,); None where that is unknown.

    By the track that extraction left beside the features, or else where all features of faces among
    ``features`` were observed that have a mask, which includes the frames over which a face was held.

    Raises:
        DataError: the track is damaged.
    """
    track = track_of(store, video_id)
    if track is not None:
        return track[0]
    num_frames = store.video(video_id).num_frames
    known = set(store.feature_names())
    masks = [
        store.observed(video_id, feature, 0, num_frames)
        for feature in features
        if feature in known and shows_faces(feature) and store.has_mask(video_id, feature)
    ]
    return np.logical_and.reduce(masks) if masks else None


def track_of(store: FeatureStore, video_id: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Where a face was found, and where it is held over a short gap, (frames,) both; None without a track.

    Raises:
        DataError: the track is damaged.
    """
    path = store.root / video_id / TRACK
    if not (isinstance(store, TrialStore) and path.is_file()):
        return None
    return read_track(path, store.video(video_id).num_frames)


def face_text(found: int, held: int) -> str:
    """How many frames have a face, as extraction and inference alike report it."""
    return f'a face in {found}' + (f', held over short gaps in {held} more' if held else '')


def shows_faces(feature: str) -> bool:
    """Whether a feature is made of faces, by its name."""
    return source_of(feature) == 'face'


def check_observed(video: str, observed: Mapping[str, NDArray[np.bool_]]) -> list[str]:
    """Refuse a video of which nothing was observed that a run looks at; the same rule for files and stores.

    Args:
        video: named in errors.
        observed: (frames,) of each feature of the run that is there.

    Returns:
        A note where some of the features were observed in no frame.

    Raises:
        DataError: all of them were observed in no frame.
    """
    absent = [feature for feature, mask in observed.items() if not mask.any()]
    if not absent:
        return []
    why = ', '.join(f'no {source}' for source in dict.fromkeys(map(source_of, absent)))
    frames = len(observed[absent[0]])
    if len(absent) == len(observed):
        raise DataError(f'{video}: {why} in any of its {frames} frames, so there is nothing to predict from')
    return [f'{why} in any of the {frames} frames: the curves come from the other features alone']


def refuse_scaled(where: str, feature: str, dims: tuple[int, ...], dtype: str) -> None:
    """Refuse images that are no bytes, which backbones would take for scaled ones: DataError."""
    if dims[2:] == (3,) and dtype != 'uint8':
        raise DataError(
            f'{where}: feature {feature!r} holds images, {"x".join(map(str, dims))} {dtype}: give them as '
            'uint8 from 0 to 255, as extraction writes them'
        )


def source_of(feature: str) -> str:
    """What a feature is made of: face, audio or transcript; where its name does not say that, the name."""
    component = EXTRACTORS.get(feature)
    if component is not None:
        return str(getattr(component, 'source', feature))
    return 'face' if feature.removesuffix(EMBEDDING) == IMAGES or feature in OTHERS else feature
