"""What choosing the best of several runs on val is worth on other videos."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional import Moments
from abawfw.results.agreement import common_groups
from abawfw.results.run import Run
from abawfw.submission.contribution import ValGroup
from abawfw.submission.weights import ccc_of_means, mean_moments

FOLDS = 5


class Selection(NamedTuple):
    """A choice of one run, cross-validated.

    Attributes:
        ccc: mean over the targets of the CCC over all frames, each predicted by the run that was best on the
            other folds of the videos.
        unit: what the folds divide, as text.
    """

    ccc: float
    unit: str


def cross_validated_choice(runs: Sequence[Run], targets: Sequence[str]) -> Selection | None:
    """Choose the run of the highest mean CCC over the targets without a fold of val, and measure it there.

    The highest of many scores is partly luck on the very videos that chose it. Raw predictions are compared,
    as in tables of sweeps.

    Args:
        runs: that have predicted the same videos.
        targets: that all estimate.

    Returns:
        None for fewer than two labelled videos, or groups of them.
    """
    by_target = [[run.read('val', target, 'raw') for run in runs] for target in targets]
    known = [(str(run.path), run.groups_of(by_target[0][i].preds)) for i, run in enumerate(runs)]
    groups = common_groups(*zip(*known, strict=True))
    units = [
        ValGroup.of(found[0].labels or {}, [p.preds for p in found], groups).units for found in by_target
    ]
    labelled = [i for i, of_unit in enumerate(zip(*units, strict=True)) if all(u.n for u in of_unit)]
    folds = min(FOLDS, len(labelled))
    if folds < 2:
        return None
    alone = np.eye(len(runs))
    parts: list[list[Moments]] = [[] for _ in targets]
    for fold in range(folds):
        inside = labelled[fold::folds]
        scores = sum(
            ccc_of_means(Moments.pool([of[i] for i in labelled if i not in inside]), alone) for of in units
        )
        best = int(np.argmax(scores))
        for part, of in zip(parts, units, strict=True):
            part += [mean_moments(of[i], alone[best]) for i in inside]
    videos = list(by_target[0][0].preds)
    return Selection(fmean(Moments.pool(part).ccc for part in parts), groups.text(videos))
