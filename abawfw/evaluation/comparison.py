"""Runs against one another, over the same videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abawfw.errors import ConfigError
from abawfw.evaluation.functional import Difference, Moments, holm, paired_bootstrap, paired_permutation
from abawfw.evaluation.functional.video_sums import VideoSums
from abawfw.evaluation.tested_run import TestedRun

MEAN = 'mean'  # of the targets' CCC
ALPHA = 0.05


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
        corrected: the bootstrap's p-value, corrected by Holm's method for all that the comparison tests.
    """

    run: str
    target: str
    baseline_ccc: float
    ccc: float
    difference: Difference
    permutation: float | None
    corrected: float | None

    @property
    def verdict(self) -> str:
        """'better', 'worse' or 'no difference' at a corrected p-value of 5 %, or 'too few videos'."""
        if self.corrected is None:
            return 'too few videos'
        if self.corrected >= ALPHA:
            return 'no difference'
        return 'better' if self.difference.value > 0 else 'worse'


class Comparison:
    """Runs that predicted the same videos; the first is the baseline of all others.

    Args:
        runs: two or more, known to agree in videos, frames and labels (``abawfw.apis.compare``).
        stage: 'raw', 'clipped' or 'smoothed' predictions.
        replicates: draws of the bootstrap and of the permutations.
        seed: of the draws.

    Attributes:
        runs: as given.
        names: of the runs, each one once.
        stage: as given.
        targets: those that all runs have.
        videos: names of the videos that have a label, in the order of the baseline.
        moments: statistics by target, run by run, of each of these videos.
        scores: run by run, for each target and for their mean where there are two.

    Raises:
        ConfigError: fewer than two runs, or no target that all have.
    """

    def __init__(
        self,
        runs: Sequence[TestedRun],
        stage: str = 'smoothed',
        replicates: int = 10_000,
        seed: int = 0,
    ) -> None:
        if len(runs) < 2:
            raise ConfigError('a comparison needs two runs or more')
        self.runs, self.stage = tuple(runs), stage
        self.names = _names(runs)
        self.targets = tuple(t for t in runs[0].targets if all(t in run.targets for run in runs))
        if not self.targets:
            listed = '; '.join(
                f'{name}: {", ".join(run.targets)}' for name, run in zip(self.names, runs, strict=True)
            )
            raise ConfigError(f'the runs have no target in common: {listed}')
        found = {t: [run.moments(t, stage) for run in runs] for t in self.targets}
        self.videos = tuple(
            v for v in found[self.targets[0]][0] if any(found[t][0][v].n for t in self.targets)
        )
        self.moments: dict[str, list[list[Moments]]] = {
            t: [[of[v] for v in self.videos] for of in found[t]] for t in self.targets
        }
        self.scores = self._corrected(
            [
                self._score(k, target, replicates, seed)
                for k in range(1, len(runs))
                for target in (*self.targets, *([MEAN] if len(self.targets) > 1 else []))
            ]
        )

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

    def _score(self, run: int, target: str, replicates: int, seed: int) -> ComparedScore:
        targets = self.targets if target == MEAN else (target,)
        pairs = [(self.moments[t][0], self.moments[t][run]) for t in targets]
        difference = paired_bootstrap(*pairs, replicates=replicates, seed=seed)
        few = difference.p_value is None
        return ComparedScore(
            run=self.names[run],
            target=target,
            baseline_ccc=self.ccc(0, target),
            ccc=self.ccc(run, target),
            difference=difference,
            permutation=None if few else paired_permutation(*pairs, replicates=replicates, seed=seed),
            corrected=None,
        )

    @staticmethod
    def _corrected(scores: list[ComparedScore]) -> tuple[ComparedScore, ...]:
        tested = [i for i, s in enumerate(scores) if s.difference.p_value is not None]
        p_values = holm([float(scores[i].difference.p_value or 0.0) for i in tested])
        for i, p in zip(tested, p_values, strict=True):
            scores[i] = ComparedScore(**{**vars(scores[i]), 'corrected': p})
        return tuple(scores)


def _names(runs: Sequence[TestedRun]) -> tuple[str, ...]:
    """Names of the folders, or their paths where two have the same name."""
    names = [run.name for run in runs]
    return tuple(str(r.path) if names.count(r.name) > 1 else r.name for r in runs)
