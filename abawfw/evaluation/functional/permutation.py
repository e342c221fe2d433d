"""Whether two runs could change places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.evaluation.functional.moments import Moments
from abawfw.evaluation.functional.paired_bootstrap import paired_sums
from abawfw.evaluation.functional.video_sums import ccc_of_sums


def paired_permutation(
    *pairs: tuple[Sequence[Moments], Sequence[Moments]], replicates: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of no difference in CCC: in each draw, half of the videos swap A and B.

    Exact, up to the number of draws, where the runs differ by chance alone, whatever the lengths of videos.

    Args:
        pairs: as for ``paired_bootstrap``.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        DataError: A and B have other numbers of videos or of labelled frames, or there is none.
    """
    sums = paired_sums(pairs)
    count = len(sums[0][0].sums)
    swaps = np.random.default_rng(seed).integers(0, 2, (replicates + 1, count)).astype(np.float64)
    swaps[0] = 0.0  # the first is what was found
    differences = np.zeros(replicates + 1)
    for a, b in sums:
        both = a.sums, b.about(a.centre)
        totals = [side.sum(axis=0) for side in both]
        moved = swaps @ (both[1] - both[0])
        found = [ccc_of_sums(total, a.centre)[1] for total in (totals[0] + moved, totals[1] - moved)]
        differences += (found[1] - found[0]) / len(sums)
    # equal but for rounding counts as reached
    reached = np.abs(differences[1:]) >= abs(differences[0]) - 1e-12
    return float((np.count_nonzero(reached) + 1) / (replicates + 1))
