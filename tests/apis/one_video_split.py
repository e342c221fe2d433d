"""A fold rule for tests: fold k validates the k-th labelled video, and the others train."""

from __future__ import annotations

from collections.abc import Sequence

from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError
from abawfw.registry import SPLITS


@SPLITS.register_module(force=True)
class OneVideoSplit:
    """Six folds of one video each."""

    def __init__(self, fold: int) -> None:
        if not 0 <= fold <= 5:
            raise ConfigError(f'OneVideoSplit(fold={fold}): folds are 0 to 5')
        self.fold = fold

    def videos(self, videos: Sequence[VideoInfo], partition: str) -> list[VideoInfo]:
        labelled = [video for video in videos if video.partition != 'test']
        if partition == 'test':
            return [video for video in videos if video.partition == 'test']
        return [v for i, v in enumerate(labelled) if (i == self.fold) == (partition == 'val')]
