"""Where a feature was not observed, over all videos of a partition."""

from __future__ import annotations

import numpy as np

from abawfw.evaluation.functional import stretches


class MissingFacts:
    """Frames in which one feature was not observed, and the gaps that they form.

    Attributes:
        frames: frames of the videos that were added.
        missing: how many of them were not observed.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.missing = 0
        self._gaps: list[np.ndarray] = []

    def add(self, observed: np.ndarray) -> None:
        """Add a video, (frames,) bool, False where the feature was not observed."""
        self.frames += len(observed)
        self.missing += int(len(observed) - np.count_nonzero(observed))
        self._gaps.append(np.diff(stretches(~observed), axis=1)[:, 0])

    @property
    def gaps(self) -> np.ndarray:
        """Frames of every gap, (gaps,) int; a gap ends at the ends of its video."""
        return np.concatenate(self._gaps) if self._gaps else np.zeros(0, dtype=np.int64)
