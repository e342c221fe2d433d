"""The partitions that the store came with."""

from __future__ import annotations

from collections.abc import Sequence

from abawfw.datasets.stores.records import VideoInfo
from abawfw.registry import SPLITS


@SPLITS.register_module()
class OfficialSplit:
    """Every video in the partition that the store gives it."""

    def videos(self, videos: Sequence[VideoInfo], partition: str) -> list[VideoInfo]:
        """The videos of ``partition``, in the order in which they come."""
        return [video for video in videos if video.partition == partition]
