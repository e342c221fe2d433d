"""One run against the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from abawfw.evaluation.functional import Difference

ALPHA = 0.05
SHOWN = 5e-5  # smaller differences print as 0.0000, and are those of rounding


@dataclass(frozen=True)
class ComparedScore:
    """A run beside the baseline, in one target or in the mean of the targets.

    Attributes:
        run: name of the run.
        target: 'valence', 'arousal' or 'mean'.
        baseline_ccc: of the baseline.
        ccc: of the run.
        difference: of the CCC, with its interval and p-value by paired bootstrap.
        permutation: p-value by swapping runs within videos; None where there are too few videos.
        corrected: ``p_value``, corrected by Holm's method for all that the comparison tests.
    """

    run: str
    target: str
    baseline_ccc: float
    ccc: float
    difference: Difference
    permutation: float | None
    corrected: float | None = None

    @property
    def p_value(self) -> float | None:
        """The larger of both p-values; None where there are too few videos.

        The bootstrap alone finds too much where few videos have most of the frames.
        """
        if self.difference.p_value is None or self.permutation is None:
            return None
        return max(self.difference.p_value, self.permutation)

    @property
    def verdict(self) -> str:
        """'better', 'worse' or 'no difference' at a corrected p-value of 5 %, or 'too few videos'."""
        if self.corrected is None:
            return 'too few videos'
        if self.corrected >= ALPHA or abs(self.difference.value) < SHOWN:
            return 'no difference'
        return 'better' if self.difference.value > 0 else 'worse'
