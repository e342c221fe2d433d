"""From the ratings of several persons to one label: what all rules share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional import VideoRatings


class FusedRatings(NamedTuple):
    """What a rule makes of the ratings of one target.

    Attributes:
        labels: (frames,) by video, NaN where nobody who counts says anything.
        weights: fraction that each rater counts, by name, of those who have rated with others: who is always
            alone can be compared with nobody. Empty where a rule has no weights.
        weighed: what it is that they weigh.
    """

    labels: dict[str, np.ndarray]
    weights: dict[str, float]
    weighed: str = 'the label'


class RaterFusion(ABC):
    """A rule that makes one label of the ratings of several persons.

    At a frame count those who say something there.
    """

    @abstractmethod
    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """Fuse the ratings of one target; what a rule has to learn about raters, it learns from all videos.

        Args:
            videos: by name.
        """


def fractions(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights as fractions of their sum; those below 0 are 0, and where none is above 0, all are alike."""
    kept = {rater: max(weight, 0.0) for rater, weight in weights.items()}
    total = sum(kept.values())
    return {rater: weight / total if total else 1 / len(kept) for rater, weight in kept.items()}
