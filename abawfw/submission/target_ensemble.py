"""The ensemble of one target, and how it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.evaluation.functional import Moments
from abawfw.submission.contribution import Contribution


@dataclass(frozen=True)
class TargetEnsemble:
    """The ensemble of one target.

    Attributes:
        runs: that estimate the target.
        contributions: of each run.
        folds: number of different sets of validation videos; 1 where all runs have the same.
        val: statistics of labels and ensemble over all validation frames, each predicted only by the runs
            that did not train on it; None where a run has no val. Weights were found on the same frames.
        cross_validated_ccc: CCC where no video took part in finding its own weights; None for one video, and
            where weights are not found on labels.
        test_preds: (frames,) by video; None if no run has test predictions.
        tuned: runs whose smoothed predictions, which are averaged, were tuned on the labels of val.
        doubts: what speaks against predictions being those of a run's best checkpoint, a line each.
    """

    runs: tuple[Path, ...]
    contributions: tuple[Contribution, ...]
    folds: int
    val: Moments | None
    cross_validated_ccc: float | None
    test_preds: dict[str, np.ndarray] | None
    tuned: tuple[Path, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[float, ...]:
        """Of each run."""
        return tuple(c.weight for c in self.contributions)

    @property
    def run_ccc(self) -> tuple[float | None, ...]:
        """CCC of each run alone on its own validation videos; None for a run without any."""
        return tuple(c.ccc for c in self.contributions)
