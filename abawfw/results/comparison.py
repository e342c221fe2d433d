"""Runs against one another, over the same videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import Interval, Moments, bootstrap_ccc, effective_number
from abawfw.evaluation.functional.video_sums import VideoSums
from abawfw.results.agreement import common_groups
from abawfw.results.compared_score import ALPHA, MEAN, compared, level_text, mean_ccc, notes_on
from abawfw.results.run import Run


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
        self.scores = compared(self.names, self._units, self.unit)
        self.comparisons = self.scores[0].comparisons
        self.level = 1 - ALPHA / self.comparisons

    @property
    def unit_text(self) -> str:
        """What is drawn and swapped, as text, and as how many of equal length they count."""
        count = effective_number(self._units[self.targets[0]][0])
        return f'{self.groups.text(self.videos)}, which count as {count:.1f} of equal length'

    @property
    def notes(self) -> list[str]:
        """What to know about the intervals and p-values, a sentence each."""
        units = {target: of[0] for target, of in self._units.items()}
        return [
            *notes_on(self.scores, units, self.unit),
            *notes_on_runs(dict(zip(self.names, self.runs, strict=True)), self.stage),
        ]

    @property
    def missing_intervals(self) -> list[str]:
        """Which runs have no interval of their CCC, and why, a sentence for each reason."""
        return missing_intervals(self.names, self.intervals)

    def ccc(self, run: int, target: str) -> float:
        """CCC over all frames of a run, of a target or in the mean of the targets."""
        targets = self.targets if target == MEAN else (target,)
        return float(np.mean([mean_ccc(self._units[t][run]) for t in targets]))

    def effects(self, run: int, target: str) -> np.ndarray:
        """How much of the difference to the baseline each video makes, (videos,).

        The difference over all frames less that without the video.
        """
        count = len(self.videos)
        draws = np.concatenate([np.ones((1, count)), 1 - np.eye(count)])
        a, b = (VideoSums(self.moments[target][k]).score(draws).value for k in (0, run))
        return (b - a)[0] - (b - a)[1:]


def notes_on_runs(runs: Mapping[str, Run], stage: str) -> list[str]:
    """Which runs, by name, were tuned on what is compared, or are not those of their best checkpoints."""
    tuned = [f'{name} ({", ".join(run.tuned)})' for name, run in runs.items() if run.tuned]
    lines = [f'{name}: {doubt}' for name, run in runs.items() for doubt in run.doubts]
    if not tuned or stage != 'smoothed':
        return lines
    text = 'which flatters: compare raw predictions, or what is not tuned'
    return [f'post-processing was tuned on these very videos in {"; ".join(tuned)}, {text}', *lines]


def missing_intervals(names: Sequence[str], intervals: Mapping[str, Sequence[Interval]]) -> list[str]:
    """Of which CCC there is no interval, by target and name, and why, a sentence for each reason."""
    reasons: dict[str, list[str]] = {}
    for target, of in intervals.items():
        for name, interval in zip(names, of, strict=True):
            if interval.obstacle:
                reasons.setdefault(interval.obstacle, []).append(f'{name} ({target})')
    return [f'no interval of the CCC of {", ".join(whose)}: {text}' for text, whose in reasons.items()]


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
