"""Mean and variance of a feature over videos, by one pass over its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abawfw.datasets.stores.checks import check_finite, chunks
from abawfw.datasets.stores.running_moments import RunningMoments
from abawfw.errors import DataError

if TYPE_CHECKING:
    from abawfw.datasets.stores.base import FeatureStore


def summarise(store: FeatureStore, feature: str, video_ids: Sequence[str], observed: bool) -> RunningMoments:
    """Summary of the frames of these videos, in float64 and piece by piece.

    Args:
        store: any store.
        feature: name of the feature.
        video_ids: names of the videos.
        observed: take only frames in which the feature was observed.

    Raises:
        DataError: NaN or infinity in a frame, or no frame at all.
    """
    dims = store.feature(feature).dims
    summary = RunningMoments(dims)
    for video_id in video_ids:
        for start, stop in chunks(store.video(video_id).num_frames, dims):
            values = store.read(video_id, feature, start, stop)
            check_finite(values, feature, video_id, start)
            summary.add(values[store.valid(video_id, feature, start, stop)] if observed else values)
    check_not_empty(summary, store, feature, video_ids)
    return summary


def check_not_empty(
    summary: RunningMoments, store: FeatureStore, feature: str, video_ids: Sequence[str]
) -> None:
    """DataError if there was no frame to take the mean over."""
    if summary.count:
        return
    why = f'it was observed in no frame of {", ".join(video_ids)}' if video_ids else 'no videos given'
    raise DataError(f'{store.root}: no mean of feature {feature!r}: {why}')
