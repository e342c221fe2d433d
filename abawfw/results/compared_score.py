"""The score of a run, or of several runs of one config, beside that of a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abawfw.errors import counted
from abawfw.evaluation.functional import Difference, Moments, paired_bootstrap, paired_permutation
from abawfw.evaluation.functional.resampling import Units, runs_of

MEAN = 'mean'  # of the targets' CCC
ALPHA = 0.05
SHOWN = 5e-5  # smaller differences print as 0.0000, and are those of rounding
NO_INTERVAL = 'no interval'
VERDICTS = ('better', 'worse')


@dataclass(frozen=True)
class ComparedScore:
    """A run beside the baseline, in one target or in the mean of the targets.

    Attributes:
        run: name of the run.
        target: 'valence', 'arousal' or 'mean'.
        baseline_ccc: of the baseline.
        ccc: of the run.
        difference: of the CCC, with its interval and p-value by paired bootstrap. The interval is at the
            level 1 - 5 % / ``comparisons``, so that 95 % is the chance that those of all comparisons hold;
            where swapping the runs does not exclude 0, it reaches to 0. That of the mean follows from those
            of the targets: its ends are the means of theirs, it holds wherever they do, and it is no
            comparison of its own.
        permutation: p-value by swapping runs within units; None of a mean, and without an interval.
        comparisons: number of comparisons that the level is corrected for.
    """

    run: str
    target: str
    baseline_ccc: float
    ccc: float
    difference: Difference
    permutation: float | None
    comparisons: int

    @property
    def p_value(self) -> float | None:
        """The larger of both p-values; None where there is none.

        The bootstrap alone finds too much where few videos have most of the frames.
        """
        if self.difference.p_value is None or self.permutation is None:
            return None
        return max(self.difference.p_value, self.permutation)

    @property
    def corrected(self) -> float | None:
        """The p-value corrected for the number of comparisons (Bonferroni), as the interval is."""
        return None if self.p_value is None else min(1.0, self.comparisons * self.p_value)

    @property
    def verdict(self) -> str:
        """'better' or 'worse' where the interval excludes 0, and otherwise why neither.

        Not significant is no evidence that runs are equal.
        """
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return NO_INTERVAL
        if abs(self.difference.value) < SHOWN and max(-low, high) < SHOWN:
            return 'equal to 4 digits'
        if low > 0 or high < 0:
            return VERDICTS[low <= 0]
        if self.comparisons > 1 and self.p_value is not None and self.p_value < ALPHA:
            return f'not significant after correction for {self.comparisons} comparisons'
        return 'not significant'


def compared(
    names: Sequence[str], units: Mapping[str, Sequence[Units]], unit: str
) -> tuple[ComparedScore, ...]:
    """Each but the first beside the first, in every target and in their mean where there are two.

    Args:
        names: of what is compared.
        units: by target, for each of them, statistics by unit; of several runs of a config a list for each.
        unit: what the units are, 'video' or 'group'.
    """
    comparisons = (len(names) - 1) * len(units)
    return tuple(
        score for k in range(1, len(names)) for score in _scores(k, names[k], units, unit, comparisons)
    )


def _scores(
    k: int, name: str, units: Mapping[str, Sequence[Units]], unit: str, comparisons: int
) -> list[ComparedScore]:
    tested = {t: _tested(of[0], of[k], unit, comparisons) for t, of in units.items()}
    if len(units) > 1:
        parts = [difference for difference, _ in tested.values()]
        value = float(np.mean([d.value for d in parts]))
        lows = [d.low for d in parts if d.low is not None]
        highs = [d.high for d in parts if d.high is not None]
        whole = len(lows) == len(parts)
        low, high = (float(np.mean(of)) if whole else None for of in (lows, highs))
        tested[MEAN] = Difference(value, low, high, None), None
    ccc = {t: (mean_ccc(of[0]), mean_ccc(of[k])) for t, of in units.items()}
    ccc[MEAN] = tuple(np.mean(list(ccc.values()), axis=0).tolist())
    return [
        ComparedScore(name, target, *ccc[target], difference, permutation, comparisons)
        for target, (difference, permutation) in tested.items()
    ]


def _tested(baseline: Units, other: Units, unit: str, comparisons: int) -> tuple[Difference, float | None]:
    """The difference of a target with its interval, and the p-value by swapping."""
    found = paired_bootstrap(baseline, other, level=1 - ALPHA / comparisons, unit=unit)
    if found.low is None or found.high is None:
        return found, None
    swapped = paired_permutation(baseline, other)
    if swapped * comparisons >= ALPHA:  # 0 cannot be excluded, so it is in the interval
        found = found._replace(low=min(found.low, 0.0), high=max(found.high, 0.0))
    return found, swapped


def mean_ccc(units: Units) -> float:
    """CCC over all frames, the mean over the runs where there are several."""
    return float(np.mean([Moments.pool(run).ccc for run in runs_of(units)]))


def notes_on(scores: Sequence[ComparedScore], units: Mapping[str, Units], unit: str) -> list[str]:
    """What to know about the intervals and p-values of differences, a sentence each.

    Args:
        scores: as ``compared`` gives them.
        units: by target, statistics by unit of any of the runs.
        unit: what the units are, 'video' or 'group'.
    """
    lines = [
        f'{score.run}, {score.target}: no interval and no p-value, since {obstacle}'
        for score in scores
        if (obstacle := score.difference.obstacle) and score.target != MEAN
    ]
    # the same of every run: say it once
    texts, comparisons = {line.partition(', since ')[2] for line in lines}, scores[0].comparisons
    if len(lines) == comparisons:
        return [f'no intervals and no p-values: {texts.pop()}'] if len(texts) == 1 else lines
    count = max(sum(m.n > 0 for m in runs_of(of)[0]) for of in units.values())
    too_few = too_few_units(count, unit, comparisons)
    return [*lines, too_few] if too_few else lines


def too_few_units(count: int, unit: str, comparisons: int) -> str | None:
    """Why no difference over so many labelled units can be significant, as text; None where one can."""
    least = comparisons * 2.0 ** (1 - count)
    if least < ALPHA:
        return None
    return (
        f'swapping {counted(count, unit)} gives no corrected p below {min(1.0, least):.3f}: no difference '
        f'can be significant with so few {unit}s and {counted(comparisons, "comparison")}'
    )


def level_text(level: float) -> str:
    """'95 %', '97.5 %', '98.33 %': with as many digits as it takes, four at most."""
    return f'{100 * level:.4g} %'
