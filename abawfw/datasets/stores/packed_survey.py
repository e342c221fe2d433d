"""A view of a packed store that verifies its checksums."""

from __future__ import annotations

from collections.abc import Sequence

from abawfw.datasets.stores.base import VideoInfo
from abawfw.datasets.stores.packed import PackedStore
from abawfw.datasets.stores.problem import Problem
from abawfw.datasets.stores.survey import StoreSurvey


class PackedSurvey(StoreSurvey):
    """The survey of a packed store.

    Args:
        store: the store.
    """

    def __init__(self, store: PackedStore) -> None:
        super().__init__(store)
        self._packed = store

    def problems(self) -> list[Problem]:
        """Which arrays cannot be verified."""
        without = self._packed.without_checksums()
        if not without:
            return []
        text = (
            f'no checksums to verify of {", ".join(without)}: packed by an earlier version; '
            'pack the store again to have them'
        )
        return [Problem('note', 'checksum', text)]

    def integrity(self, video: VideoInfo, features: Sequence[str]) -> list[Problem]:
        """Arrays of a video that are not what was packed."""
        return [
            Problem(
                'error',
                'checksum',
                f'{self._packed.root / name}.npy: the values of this video are not those that were packed, '
                'their checksum differs; copy the store again from a whole copy, or pack it again',
                video.partition,
                video.video_id,
                feature,
            )
            for feature in ('', *features)
            for name in self._packed.damaged(video.video_id, feature)
        ]
