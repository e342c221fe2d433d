"""Runs against one another, over the same videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.compared_score import ComparedScore
from abawfw.evaluation.functional import (
    Moments,
    bootstrap_ccc,
    holm,
    interval_obstacle,
    paired_bootstrap,
    paired_permutation,
)
from abawfw.evaluation.functional.video_sums import VideoSums
from abawfw.evaluation.tested_run import TestedRun

MEAN = 'mean'  # of the targets' CCC


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
        moments: statistics by target, run by run, of each of these videos.
        intervals: 95 % interval of the CCC by target, run by run; None where ``obstacle`` says why.
        obstacle: why there are no intervals and p-values, in words; None where there are.
        scores: run by run, for each target and for their mean where there are two.

    Raises:
        ConfigError: fewer than two runs, or no target that all have.
        DataError: no frame has a label.
    """

    def __init__(self, runs: Sequence[TestedRun], stage: str = 'smoothed') -> None:
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
        self.moments: dict[str, list[list[Moments]]] = {
            t: [[of[v] for v in self.videos] for of in found[t]] for t in self.targets
        }
        self.intervals = {t: [bootstrap_ccc(of) for of in self.moments[t]] for t in self.targets}
        obstacles = (interval_obstacle(self.moments[t][0]) for t in self.targets)
        self.obstacle = next((text for text in obstacles if text), None)
        measured = (*self.targets, *([MEAN] if len(self.targets) > 1 else []))
        scores = [self._score(k, target) for k in range(1, len(runs)) for target in measured]
        self.scores = _corrected(scores)

    @property
    def tuned(self) -> str | None:
        """Which predictions were tuned on the videos that are compared, in words; None where none were."""
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

    def _score(self, run: int, target: str) -> ComparedScore:
        targets = self.targets if target == MEAN else (target,)
        pairs = [(self.moments[t][0], self.moments[t][run]) for t in targets]
        difference = paired_bootstrap(*pairs)
        return ComparedScore(
            run=self.names[run],
            target=target,
            baseline_ccc=self.ccc(0, target),
            ccc=self.ccc(run, target),
            difference=difference,
            permutation=None if difference.p_value is None else paired_permutation(*pairs),
        )


def _corrected(scores: Sequence[ComparedScore]) -> tuple[ComparedScore, ...]:
    """The scores with p-values corrected for the number of them."""
    p_values = iter(holm([score.p_value for score in scores if score.p_value is not None]))
    return tuple(
        score if score.p_value is None else replace(score, corrected=next(p_values)) for score in scores
    )


def _names(runs: Sequence[TestedRun]) -> tuple[str, ...]:
    """Names of the folders, or their paths where two have the same name."""
    names = [run.name for run in runs]
    return tuple(str(r.path) if names.count(r.name) > 1 else r.name for r in runs)
