"""Runs against one another, over the same videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import (
    Difference,
    Interval,
    Moments,
    bootstrap_ccc,
    effective_number,
    paired_bootstrap,
    paired_permutation,
)
from abawfw.evaluation.functional.video_sums import VideoSums
from abawfw.results.agreement import common_groups
from abawfw.results.run import Run

MEAN = 'mean'  # of the targets' CCC
ALPHA = 0.05
SHOWN = 5e-5  # smaller differences print as 0.0000, and are those of rounding
NO_INTERVAL = 'no interval'


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
            return 'better' if low > 0 else 'worse'
        if self.comparisons > 1 and self.p_value is not None and self.p_value < ALPHA:
            return f'not significant after correction for {self.comparisons} comparisons'
        return 'not significant'


class Comparison:
    """Runs that predicted the same videos; the first is the baseline of all others.

    Args:
        runs: two or more, known to agree in videos, frames and labels (``abawfw.apis.compare``).
        stage: 'raw', 'clipped' or 'smoothed' predictions.

    Attributes:
        runs: as given.
        names: of the runs, each one once.
        stage: as given.
        targets: those that all runs have, and that have a label.
        videos: names of the videos that have a label, in the order of the baseline.
        groups: those of these videos that are known.
        unit: what is drawn, 'group' or 'video'.
        moments: statistics by target, run by run, of each of these videos.
        intervals: 95 % interval of the CCC by target, run by run; each says why where it has no ends.
        comparisons: number of differences that are tested, a target of a run each.
        level: of the intervals of differences, 1 - 5 % / ``comparisons``.
        scores: run by run, for each target and for their mean where there are two.

    Raises:
        ConfigError: fewer than two runs, or no target that all have.
        DataError: no frame has a label, or runs contradict one another in the groups of videos.
    """

    def __init__(self, runs: Sequence[Run], stage: str = 'smoothed') -> None:
        if len(runs) < 2:
            raise ConfigError('a comparison needs two runs or more')
        self.runs, self.stage = tuple(runs), stage
        self.names = _names(runs)
        common = [t for t in runs[0].targets if all(t in run.targets for run in runs)]
        if not common:
            listed = (f'{name}: {", ".join(run.targets)}' for name, run in zip(self.names, runs, strict=True))
            raise ConfigError(f'the runs have no target in common: {"; ".join(listed)}')
        found = {t: [run.moments(t, stage) for run in runs] for t in common}
        self.targets = tuple(t for t in common if any(m.n for m in found[t][0].values()))
        if not self.targets:
            raise DataError(f'no frame has a label of {" or ".join(common)}: there is nothing to compare')
        videos = found[self.targets[0]][0]
        self.videos = tuple(v for v in videos if any(found[t][0][v].n for t in self.targets))
        self.groups = common_groups(self.names, [run.groups for run in runs]).among(self.videos)
        self.moments: dict[str, list[list[Moments]]] = {
            t: [[of[v] for v in self.videos] for of in found[t]] for t in self.targets
        }
        self.unit, units = self.groups.unit(self.videos), self.groups.units(self.videos)
        self._units = {
            t: [[Moments.pool(of[v] for v in unit) for unit in units] for of in found[t]]
            for t in self.targets
        }
        self.intervals: dict[str, list[Interval]] = {
            t: [bootstrap_ccc(of, unit=self.unit) for of in self._units[t]] for t in self.targets
        }
        self.comparisons = (len(runs) - 1) * len(self.targets)
        self.level = 1 - ALPHA / self.comparisons
        self.scores = tuple(score for k in range(1, len(runs)) for score in self._scores(k))

    @property
    def unit_text(self) -> str:
        """What is drawn and swapped, as text, and as how many of equal length they count."""
        count = effective_number(self._units[self.targets[0]][0])
        return f'{self.groups.text(self.videos)}, which count as {count:.1f} of equal length'

    @property
    def notes(self) -> list[str]:
        """What to know about the intervals and p-values, a sentence each."""
        lines = [
            f'{score.run}, {score.target}: no interval and no p-value, since {obstacle}'
            for score in self.scores
            if (obstacle := score.difference.obstacle) and score.target != MEAN
        ]
        # the same of every run: say it once
        texts = {line.partition(', since ')[2] for line in lines}
        if len(texts) == 1 and len(lines) == self.comparisons:
            lines = [f'no intervals and no p-values: {texts.pop()}']
        count = max(sum(m.n > 0 for m in self._units[t][0]) for t in self.targets)
        least = self.comparisons * 2.0 ** (1 - count)
        if least >= ALPHA and len(lines) < self.comparisons:
            lines.append(
                f'swapping {counted(count, self.unit)} gives no corrected p below {min(1.0, least):.3f}: '
                f'no difference can be significant with so few {self.unit}s and '
                f'{counted(self.comparisons, "comparison")}'
            )
        if self.tuned:
            lines.append(self.tuned)
        of_runs = zip(self.names, self.runs, strict=True)
        return [*lines, *(f'{name}: {doubt}' for name, run in of_runs for doubt in run.doubts)]

    @property
    def missing_intervals(self) -> list[str]:
        """Which runs have no interval of their CCC, and why, a sentence for each reason."""
        reasons: dict[str, list[str]] = {}
        for target, of in self.intervals.items():
            for name, interval in zip(self.names, of, strict=True):
                if interval.obstacle:
                    reasons.setdefault(interval.obstacle, []).append(f'{name} ({target})')
        return [f'no interval of the CCC of {", ".join(whose)}: {text}' for text, whose in reasons.items()]

    @property
    def tuned(self) -> str | None:
        """Which predictions were tuned on the videos that are compared, as text; None where none were."""
        found = [
            f'{name} ({", ".join(run.tuned)})'
            for name, run in zip(self.names, self.runs, strict=True)
            if run.tuned and self.stage == 'smoothed'
        ]
        if not found:
            return None
        return (
            f'post-processing was tuned on these very videos in {"; ".join(found)}, which flatters: '
            'compare raw predictions, or what is not tuned'
        )

    def ccc(self, run: int, target: str) -> float:
        """CCC over all frames of a run, of a target or in the mean of the targets."""
        targets = self.targets if target == MEAN else (target,)
        return float(np.mean([Moments.pool(self.moments[t][run]).ccc for t in targets]))

    def effects(self, run: int, target: str) -> np.ndarray:
        """How much of the difference to the baseline each video makes, (videos,).

        The difference over all frames less that without the video.
        """
        count = len(self.videos)
        draws = np.concatenate([np.ones((1, count)), 1 - np.eye(count)])
        a, b = (VideoSums(self.moments[target][k]).score(draws).value for k in (0, run))
        return (b - a)[0] - (b - a)[1:]

    def _scores(self, run: int) -> list[ComparedScore]:
        tested = {t: self._tested(run, t) for t in self.targets}
        if len(self.targets) > 1:
            parts = [difference for difference, _ in tested.values()]
            value = float(np.mean([d.value for d in parts]))
            lows = [d.low for d in parts if d.low is not None]
            highs = [d.high for d in parts if d.high is not None]
            whole = len(lows) == len(parts)
            low, high = (float(np.mean(of)) if whole else None for of in (lows, highs))
            tested[MEAN] = Difference(value, low, high, None), None
        return [
            ComparedScore(
                run=self.names[run],
                target=target,
                baseline_ccc=self.ccc(0, target),
                ccc=self.ccc(run, target),
                difference=difference,
                permutation=permutation,
                comparisons=self.comparisons,
            )
            for target, (difference, permutation) in tested.items()
        ]

    def _tested(self, run: int, target: str) -> tuple[Difference, float | None]:
        """The difference of a target with its interval, and the p-value by swapping."""
        pair = self._units[target][0], self._units[target][run]
        found = paired_bootstrap(*pair, level=self.level, unit=self.unit)
        if found.low is None or found.high is None:
            return found, None
        swapped = paired_permutation(*pair)
        if swapped * self.comparisons >= ALPHA:  # 0 cannot be excluded, so it is in the interval
            found = found._replace(low=min(found.low, 0.0), high=max(found.high, 0.0))
        return found, swapped


def level_text(level: float) -> str:
    """'95 %', '97.5 %', '98.33 %': with as many digits as it takes, four at most."""
    return f'{100 * level:.4g} %'


def reading(comparison: Comparison) -> str:
    """How intervals, p-values and verdicts of a comparison are to be read, in sentences that agree with them.

    Every text follows from the first sentence of docs/statistics.md on comparisons.
    """
    c = comparison
    times = f' times {c.comparisons}' if c.comparisons > 1 else ''
    corrected = f'corrected for {counted(c.comparisons, "comparison")}' if c.comparisons > 1 else 'at 5 %'
    lines = [
        'a run is better or worse where its interval excludes 0; not significant does not mean equal',
        f'interval: {level_text(c.level)}, {corrected}; p: paired bootstrap; p swapped: runs exchanged '
        f'within a {c.unit}; p corrected: the larger of both{times}, below .05 where the interval '
        'excludes 0',
    ]
    if len(c.targets) > 1:
        lines.append('mean: its interval is the mean of those of the targets, and no comparison of its own')
    return '\n'.join(lines)


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    """Names of the folders, or their paths where two have the same name."""
    names = [run.name for run in runs]
    return tuple(str(r.path) if names.count(r.name) > 1 else r.name for r in runs)
