"""The six folds of TAGF and its family."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, Le

from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError, DataError
from abawfw.registry import SPLITS

TRAIN_RANGES = 5
FOLDS = range(TRAIN_RANGES + 1)


@SPLITS.register_module()
class RolledKFold:
    """Six folds: five ranges of the training videos and the validation videos take turns.

    Of n training videos, in their order, range i starts at floor(i n / 5); the sixth range is the validation
    partition. Fold k rolls the list of the six ranges right by k: the first five train, the sixth validates
    (docs/tagf.md, Data). So fold 0 is the official split, fold 1 validates the last fifth of train, and fold
    5 the first. The test partition stays as it is.

    The reference knows no groups of videos, and neither does this rule: where a range parts one,
    ``build_split`` warns, and ``BalancedKFold`` is the rule that keeps groups whole.

    Args:
        fold: 0 to 5.

    Raises:
        ConfigError: another fold.
    """

    def __init__(self, fold: Annotated[int, Ge(0), Le(TRAIN_RANGES)]) -> None:
        if fold not in FOLDS:
            raise ConfigError(
                f'RolledKFold(fold={fold!r}): there are folds 0 to {FOLDS[-1]}, and 0 is the official split'
            )
        self.fold = fold

    def videos(self, videos: Sequence[VideoInfo], partition: str) -> list[VideoInfo]:
        """The videos of ``partition`` in this fold; those of train in the order of the rolled ranges.

        Raises:
            DataError: fewer than 5 training videos, or none to validate, among ``videos``.
        """
        return [video for part in self.parts(videos, partition) for video in part]

    def parts(self, videos: Sequence[VideoInfo], partition: str) -> list[list[VideoInfo]]:
        """The same, fold by fold: five for 'train', one for any other partition. Raises as ``videos``."""
        if partition not in ('train', 'val'):
            return [[video for video in videos if video.partition == partition]]
        train = [video for video in videos if video.partition == 'train']
        val = [video for video in videos if video.partition == 'val']
        if len(train) < TRAIN_RANGES or not val:
            raise DataError(
                f'RolledKFold needs at least {TRAIN_RANGES} training videos and 1 validation video, there '
                f'are {len(train)} and {len(val)}; use OfficialSplit, or more videos'
            )
        starts = [i * len(train) // TRAIN_RANGES for i in range(TRAIN_RANGES + 1)]
        ranges = [train[start:stop] for start, stop in pairwise(starts)] + [val]
        rolled = ranges[len(ranges) - self.fold :] + ranges[: len(ranges) - self.fold]
        return rolled[-1:] if partition == 'val' else rolled[:-1]
