"""Means of the predictions of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments
from abawfw.evaluation.prediction_files import Predictions
from abawfw.submission.agreement import differences, same_videos
from abawfw.submission.run_folder import RunFolder, expand
from abawfw.submission.val_group import ValGroup, mean_of_runs
from abawfw.submission.weights import FITTED, RULES, cross_validate, find_weights


@dataclass(frozen=True)
class TargetEnsemble:
    """The ensemble of one target.

    Attributes:
        runs: that estimate the target.
        weights: of each run.
        run_ccc: CCC of each run alone on its own validation videos; None for a run without any.
        folds: number of different sets of validation videos; 1 where all runs have the same.
        val: statistics of labels and ensemble over all validation frames, each predicted only by the runs
            that did not train on it; None where a run has no val. Weights were found on the same frames.
        cross_validated_ccc: CCC where no video took part in finding its own weights; None for one video, and
            where weights are not found on labels.
        test_preds: (frames,) by video; None if no run has test predictions.
    """

    runs: tuple[Path, ...]
    weights: tuple[float, ...]
    run_ccc: tuple[float | None, ...]
    folds: int
    val: Moments | None
    cross_validated_ccc: float | None
    test_preds: dict[str, np.ndarray] | None


class Ensemble:
    """Runs whose predictions are averaged per target, frame by frame.

    Runs of a cross-validation have different validation videos: there, every video is measured with the runs
    that validate on it, and rules that compare the runs on common videos are refused.

    Args:
        runs: work folders (with predictions/ in them), folders that hold prediction files, or folders of such
            folders, which stand for all runs in them. Targets may come from different runs.
        targets: to average.
        smoothed: take the smoothed predictions instead of the clipped ones.
        weights: rule, see ``find_weights``; 'centred' brings the runs to a common mean per video first.

    Attributes:
        targets: dict of target -> ``TargetEnsemble``.

    Raises:
        ConfigError: no run, an unknown rule, or one that these runs cannot be weighted by.
        DataError: files are missing, or runs differ in videos, frames or labels; differences are listed.
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
        if weights not in RULES:
            raise ConfigError(f'no rule {weights!r} for weights; there are {", ".join(RULES)}')
        self.smoothed, self.rule = smoothed, weights
        found = expand(runs)
        # where no run has a target, reading tells what is missing
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
        groups = [ValGroup(runs, val, indices, target) for indices in same_videos(val)]
        common = len(groups) == 1 and len(groups[0].indices) == len(runs)
        if self.rule in FITTED and not common:
            raise ConfigError(
                f'--weights {self.rule} compares runs on validation videos that all have, but the '
                f'{len(runs)} runs of {target} have {len(groups)} sets of them: use mean or centred'
            )
        weights = np.full(len(runs), 1 / len(runs))
        if common:
            weights = find_weights(self.rule, groups[0].pooled)
        ccc = {i: value for group in groups for i, value in zip(group.indices, group.run_ccc, strict=True)}
        val_moments = [group.measure(self.rule, weights if common else None) for group in groups]
        fitted_apart = common and self.rule != 'centred'
        return TargetEnsemble(
            runs=tuple(run.path for run in runs),
            weights=tuple(weights.tolist()),
            run_ccc=tuple(ccc.get(i) for i in range(len(runs))),
            folds=len(groups),
            val=Moments.pool(val_moments) if len(ccc) == len(runs) else None,
            cross_validated_ccc=cross_validate(self.rule, groups[0].videos) if fitted_apart else None,
            test_preds={
                video: mean_of_runs(self.rule, weights, [run.preds[video] for run in tst])
                for video in (tst[0].preds if tst else ())
            }
            or None,
        )


def _disagreements(
    runs: list[RunFolder], val: list[Predictions | None], tst: list[Predictions], target: str
) -> list[str]:
    names = [str(run.path) for run in runs]
    lines = []
    for group in same_videos(val):
        members = [p for p in (val[i] for i in group) if p is not None]
        lines += [f'val, {target}: {text}' for text in differences([names[i] for i in group], members)]
    return lines + [f'tst, {target}: {text}' for text in differences(names, tst)]
