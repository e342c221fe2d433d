"""Means of the predictions of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import Moments
from abawfw.groups import Groups
from abawfw.results.agreement import common_groups, differences, same_videos
from abawfw.results.predictions import Predictions
from abawfw.results.run_folder import RunFolder, expand
from abawfw.submission.contribution import Contribution, group_contributions
from abawfw.submission.val_group import ValGroup, mean_of_runs
from abawfw.submission.weights import FITTED, check_rule, find_weights


class Ensemble:
    """Runs whose predictions are averaged per target, frame by frame.

    Runs of a cross-validation have different validation videos: there, every video is measured with the runs
    that validate on it, and rules that compare the runs on common videos are refused.

    Args:
        runs: work folders (with predictions/ in them), folders that hold prediction files, or folders of such
            folders, which stand for all runs in them. Targets may come from different runs.
        targets: to average.
        smoothed: take the smoothed predictions instead of the clipped ones.
        weights: rule, see ``RULES``.

    Attributes:
        targets: dict of target -> ``TargetEnsemble``.

    Raises:
        ConfigError: no run, an unknown rule, or one that these runs cannot be weighted by.
        DataError: files are missing, or runs differ in videos, frames or labels; differences are listed.

    >>> list(Ensemble(['work_dirs/run', 'work_dirs/other']).targets)
    ['valence', 'arousal']
    """

    def __init__(
        self,
        runs: Sequence[Path | str],
        targets: Sequence[str] = ('valence', 'arousal'),
        smoothed: bool = False,
        weights: str = 'mean',
    ) -> None:
        if not runs or not targets:
            raise ConfigError('an ensemble needs at least one run and one target')
        check_rule(weights)
        self.smoothed, self.rule = smoothed, weights
        found = expand(runs)
        # where no run has a target, reading reports what is missing
        chosen = {t: [run for run in found if run.has(t)] or found for t in targets}
        files = {t: self._read(chosen[t], t) for t in targets}
        if problems := [line for t in targets for line in _disagreements(chosen[t], *files[t], t)]:
            raise DataError('these runs cannot be averaged:\n  ' + '\n  '.join(problems))
        self.targets = {t: self._average(chosen[t], *files[t], t) for t in targets}

    def _read(self, runs: list[RunFolder], target: str) -> tuple[list[Predictions | None], list[Predictions]]:
        val = [run.read_val(target, self.smoothed) for run in runs]
        if not any(run.has_test(target) for run in runs):
            return val, []
        return val, [run.read_test(target, self.smoothed) for run in runs]

    def _average(
        self, runs: list[RunFolder], val: list[Predictions | None], tst: list[Predictions], target: str
    ) -> TargetEnsemble:
        groups = same_videos(val)
        common = len(groups) == 1 and len(groups[0]) == len(runs)
        if self.rule in FITTED and not common:
            raise ConfigError(
                f'--weights {self.rule} compares runs on validation videos that all have, but the '
                f'{counted(len(runs), "run")} of {target} have {counted(len(groups), "set")} of '
                'them: use mean or '
                'centred'
            )
        weights = np.full(len(runs), 1 / len(runs))
        rows = {i: Contribution(str(run.path), None, float(weights[i])) for i, run in enumerate(runs)}
        parts, unit = [], None
        for indices in groups:
            group = _val_group(runs, val, indices, target)
            if self.rule in FITTED:
                unit = _groups(runs, val, indices).text(group.labels)
            if common:
                weights = find_weights(self.rule, group.pooled)
            names = [str(runs[i].path) for i in indices]
            rows |= zip(indices, group_contributions(self.rule, group, names, weights[indices]), strict=True)
            parts.append(group.measure(self.rule, weights if common else None))
        return TargetEnsemble(
            runs=tuple(run.path for run in runs),
            contributions=tuple(rows.values()),
            folds=len(groups),
            val=Moments.pool(parts) if all(p is not None for p in val) else None,
            cross_validated_ccc=rows[0].together if self.rule in FITTED else None,
            test_preds={
                video: mean_of_runs(self.rule, weights, [run.preds[video] for run in tst])
                for video in (tst[0].preds if tst else ())
            }
            or None,
            tuned=tuple(run.path for run in runs if self.smoothed and target in run.tuned),
            unit=unit,
            doubts=tuple(f'{run.path}: {line}' for run in runs for line in run.doubts(target)),
        )


def _val_group(
    runs: list[RunFolder], val: list[Predictions | None], indices: list[int], target: str
) -> ValGroup:
    members = [p for p in (val[i] for i in indices) if p is not None]
    folder = runs[indices[0]].folder
    if members[0].labels is None:
        raise DataError(f'{folder}: the predictions of val have no labels of {target}')
    known = _groups(runs, val, indices)
    group = ValGroup.of(members[0].labels, [p.preds for p in members], known)
    if not group.pooled.n:
        raise DataError(f'{folder}: no frame of val has a label of {target}')
    return group


def _groups(runs: list[RunFolder], val: list[Predictions | None], indices: list[int]) -> Groups:
    """The groups of the videos that these runs have all predicted."""
    found = [(str(runs[i].path), runs[i].groups(p)) for i in indices if (p := val[i]) is not None]
    return common_groups(*zip(*found, strict=True))


def _disagreements(
    runs: list[RunFolder], val: list[Predictions | None], tst: list[Predictions], target: str
) -> list[str]:
    names = [str(run.path) for run in runs]
    lines = []
    for group in same_videos(val):
        members = [p for p in (val[i] for i in group) if p is not None]
        lines += [f'val, {target}: {text}' for text in differences([names[i] for i in group], members)]
    return lines + [f'tst, {target}: {text}' for text in differences(names, tst)]


@dataclass(frozen=True)
class TargetEnsemble:
    """The ensemble of one target.

    Attributes:
        runs: that estimate the target.
        contributions: of each run.
        folds: number of different sets of validation videos; 1 where all runs have the same.
        val: statistics of labels and ensemble over all validation frames, each predicted only by the runs
            that did not train on it; None where a run has no val. Weights were found on the same frames.
        cross_validated_ccc: CCC where no video, nor another of its group, took part in finding its own
            weights; None for one video or group, and where weights are not found on labels.
        test_preds: (frames,) by video; None if no run has test predictions.
        tuned: runs whose smoothed predictions, which are averaged, were tuned on the labels of val.
        unit: what a cross-validation of weights divides, as text; None where weights are not found on
            labels.
        doubts: what speaks against predictions being those of a run's best checkpoint, a line each.
    """

    runs: tuple[Path, ...]
    contributions: tuple[Contribution, ...]
    folds: int
    val: Moments | None
    cross_validated_ccc: float | None
    test_preds: dict[str, np.ndarray] | None
    tuned: tuple[Path, ...] = ()
    unit: str | None = None
    doubts: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[float, ...]:
        """Of each run."""
        return tuple(c.weight for c in self.contributions)

    @property
    def run_ccc(self) -> tuple[float | None, ...]:
        """CCC of each run alone on its own validation videos; None for a run without any."""
        return tuple(c.ccc for c in self.contributions)
