"""The native store: one array per feature, all videos back to back, and an index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureInfo, FeatureStore, VideoInfo, with_groups
from abawfw.datasets.stores.checks import check_videos
from abawfw.datasets.stores.packed_array import PackedArray
from abawfw.datasets.stores.packed_index import INDEX, PackedIndex
from abawfw.datasets.stores.running_moments import RunningMoments
from abawfw.datasets.stores.summary import check_not_empty
from abawfw.registry import STORES


@STORES.register_module()
class PackedStore(FeatureStore):
    """Features and labels as plain .npy files; start-up and memory do not grow with the data.

    In the folder (``frames`` counts those of all videos, one after another):

    - ``index.json``: which video lies where, and shape and type of every feature;
    - ``labels.npy``: (frames, 2) float32, NaN where there is no valid label;
    - ``feature_NAME.npy``: (frames, *dims);
    - ``moments_NAME.npy``: (videos, 2, *dims) float64, mean and sum of squared deviations of every video,
      from which the statistics of any fold follow without a pass over the data;
    - ``valid_NAME.npy``: (frames,) bool, where some frames of the feature were not observed, and
      ``observed_moments_NAME.npy``, the same sums over the frames that were;
    - ``times.npy``: (frames,) float64 seconds, where the source knew more than the frame rates; NaN for a
      video without times.

    Args:
        root: folder written by tools/pack_features.py.

    Raises:
        DataError: the index is missing, damaged or of another version, or a file disagrees with it.
    """

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._index = PackedIndex.read(self.root)
        check_videos(self._index.videos, self.root)
        self._videos = with_groups(self.root, self._index.videos)
        frames, videos = self._index.num_frames, len(self._index.videos)
        self._label_array = PackedArray(self.root / 'labels.npy', (frames, 2), 'float32')
        timed = self._index.timed
        self._times = PackedArray(self.root / 'times.npy', (frames,), 'float64') if timed else None
        self._arrays: dict[str, PackedArray] = {}
        self._moments: dict[str, PackedArray] = {}
        self._observed_moments: dict[str, PackedArray] = {}
        self._masks: dict[str, PackedArray] = {}
        for name, info in self._index.features.items():
            self._arrays[name] = PackedArray(
                self.root / f'feature_{name}.npy', (frames, *info.dims), info.dtype
            )
            sums = (videos, 2, *info.dims)
            self._moments[name] = PackedArray(self.root / f'moments_{name}.npy', sums, 'float64')
            if name in self._index.masked:
                self._masks[name] = PackedArray(self.root / f'valid_{name}.npy', (frames,), 'bool')
                path = self.root / f'observed_moments_{name}.npy'
                if path.exists():  # stores packed by earlier versions have none
                    self._observed_moments[name] = PackedArray(path, sums, 'float64')

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """A folder with index.json."""
        return (root / INDEX).is_file()

    def videos(self) -> tuple[VideoInfo, ...]:
        """All videos, in the order of the store that was packed."""
        return self._videos

    def features(self) -> dict[str, FeatureInfo]:
        """All features, by name."""
        return self._index.features

    def times(self, video_id: str) -> np.ndarray | None:
        """Seconds at which each frame is shown: times.npy, or else by the frame rate."""
        video = self.video(video_id)
        if self._times is None:
            return super().times(video_id)
        offset = self._index.offsets[video_id]
        times = self._times.read(offset, offset + video.num_frames)
        return None if np.isnan(times).all() else times

    def has_mask(self, video_id: str, feature: str) -> bool:
        """A mask is packed where some frame of some video was not observed."""
        return feature in self._masks

    def _summary(self, feature: str, video_ids: Sequence[str], observed: bool) -> RunningMoments:
        """From the sums that were kept per video."""
        info = self.feature(feature)
        masked = observed and feature in self._masks
        if masked and feature not in self._observed_moments:
            return super()._summary(feature, video_ids, observed)
        sums = (self._observed_moments if masked else self._moments)[feature]
        summary = RunningMoments(info.dims)
        for video_id in video_ids:
            video = self.video(video_id)
            row = self._index.rows[video_id]
            ((mean, m2),) = sums.read(row, row + 1)
            count = video.num_frames
            if masked:
                count = int(np.count_nonzero(self._valid(video, feature, 0, video.num_frames)))
            summary.merge(count, mean, m2)
        check_not_empty(summary, self, feature, video_ids)
        return summary

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        offset = self._index.offsets[video.video_id]
        return self._arrays[feature].read(offset + start, offset + stop)

    def _valid(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        if feature not in self._masks:
            return super()._valid(video, feature, start, stop)
        offset = self._index.offsets[video.video_id]
        return self._masks[feature].read(offset + start, offset + stop)

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        offset = self._index.offsets[video.video_id]
        return self._label_array.read(offset + start, offset + stop)
