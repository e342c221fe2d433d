"""Whether two runs could change places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.evaluation.functional.moments import Moments
from abawfw.evaluation.functional.paired_bootstrap import paired_sums
from abawfw.evaluation.functional.video_sums import ccc_of_sums


def paired_permutation(
    a: Sequence[Moments], b: Sequence[Moments], replicates: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of no difference in CCC: in each draw, half of the units swap A and B.

    Exact, up to the number of draws, where the runs differ by chance alone, whatever the lengths of videos.
    Of n units no p-value is below 2^(1 - n): there are no more ways to swap.

    Args:
        a: statistics of A by unit, as for ``paired_bootstrap``.
        b: those of B, of the same units.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        DataError: A and B have other numbers of units or of labelled frames, or there is none.
    """
    first, second = paired_sums(a, b)
    swaps = np.random.default_rng(seed).integers(0, 2, (replicates + 1, len(first.sums))).astype(np.float64)
    swaps[0] = 0.0  # the first is what was found
    both = first.sums, second.about(first.centre)
    totals = [side.sum(axis=0) for side in both]
    moved = swaps @ (both[1] - both[0])
    found = [ccc_of_sums(total, first.centre)[1] for total in (totals[0] + moved, totals[1] - moved)]
    differences = found[1] - found[0]
    # equal but for rounding counts as reached
    reached = np.abs(differences[1:]) >= abs(differences[0]) - 1e-12
    return float((np.count_nonzero(reached) + 1) / (replicates + 1))
