"""Means of the predictions of several runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.conventions import TARGETS
from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import Moments
from abawfw.groups import Groups
from abawfw.prediction_files import PARTITIONS, Predictions
from abawfw.results.agreement import common_groups, differences, same_videos
from abawfw.results.run import CROSS_VALIDATION, MEAN, STD, Run, is_run
from abawfw.submission.contribution import Contribution, ValGroup, group_contributions, mean_of_runs
from abawfw.submission.weights import FITTED, check_rule, find_weights
from abawfw.text_files import read_csv


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
        partition: 'test' or 'train', whose predictions are averaged; those of val weigh and measure.

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
        targets: Sequence[str] = TARGETS,
        smoothed: bool = False,
        weights: str = 'mean',
        partition: str = 'test',
    ) -> None:
        if not runs or not targets:
            raise ConfigError('an ensemble needs at least one run and one target')
        check_rule(weights)
        self.smoothed, self.rule, self.partition = smoothed, weights, partition
        found = expand(runs)
        # where no run has a target, reading reports what is missing
        chosen = {t: [run for run in found if run.estimates(t)] or found for t in targets}
        files = {t: self._read(chosen[t], t) for t in targets}
        if problems := [x for t in targets for x in _disagreements(chosen[t], *files[t], t, partition)]:
            raise DataError('these runs cannot be averaged:\n  ' + '\n  '.join(problems))
        self.targets = {t: self._average(chosen[t], *files[t], t) for t in targets}

    def _read(self, runs: list[Run], target: str) -> tuple[list[Predictions | None], list[Predictions]]:
        stage = 'smoothed' if self.smoothed else 'clipped'
        val = [None if run.texts_only else run.read('val', target, stage) for run in runs]
        if not any(run.has(self.partition, target) for run in runs):
            return val, []
        return val, [run.read(self.partition, target, stage) for run in runs]

    def _average(
        self, runs: list[Run], val: list[Predictions | None], averaged: list[Predictions], target: str
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
            preds={
                video: mean_of_runs(self.rule, weights, [run.preds[video] for run in averaged])
                for video in (averaged[0].preds if averaged else ())
            }
            or None,
            tuned=tuple(run.path for run in runs if self.smoothed and target in run.tuned),
            unit=unit,
            doubts=tuple(
                f'{run.path}: {line}' for run in runs for line in _doubts(run, target, self.partition)
            ),
        )


def _val_group(runs: list[Run], val: list[Predictions | None], indices: list[int], target: str) -> ValGroup:
    members = [p for p in (val[i] for i in indices) if p is not None]
    folder = runs[indices[0]].folder
    if members[0].labels is None:
        raise DataError(f'{folder}: the predictions of val have no labels of {target}')
    known = _groups(runs, val, indices)
    group = ValGroup.of(members[0].labels, [p.preds for p in members], known)
    if not group.pooled.n:
        raise DataError(f'{folder}: no frame of val has a label of {target}')
    return group


def _groups(runs: list[Run], val: list[Predictions | None], indices: list[int]) -> Groups:
    """The groups of the videos that these runs have all predicted."""
    found = [(str(runs[i].path), runs[i].groups_of(p.preds)) for i in indices if (p := val[i]) is not None]
    return common_groups(*zip(*found, strict=True))


def _doubts(run: Run, target: str, partition: str) -> list[str]:
    """What speaks against the files of a run that are read being those of its best checkpoint."""
    if run.texts_only:
        return []
    return run.doubts_of([target], [part for part in ('val', partition) if run.has(part, target)])


def _disagreements(
    runs: list[Run],
    val: list[Predictions | None],
    averaged: list[Predictions],
    target: str,
    partition: str,
) -> list[str]:
    names = [str(run.path) for run in runs]
    lines = []
    for group in same_videos(val):
        members = [p for p in (val[i] for i in group) if p is not None]
        lines += [f'val, {target}: {text}' for text in differences([names[i] for i in group], members)]
    return lines + [f'{PARTITIONS[partition]}, {target}: {text}' for text in differences(names, averaged)]


STATISTICS = (MEAN, STD)  # rows of the table that are no runs


def expand(paths: Sequence[Path | str]) -> list[Run]:
    """The runs that are meant: a folder that is none itself stands for those in it, fold2 before fold10.

    Raises:
        ConfigError: a run is named twice, however it is spelt: it would count twice.
        DataError: a folder lacks a run of its cross-validation.
    """
    found: dict[Path, Run] = {}
    for path in map(Path, paths):
        inner = [] if is_run(path) or not path.is_dir() else [p for p in path.iterdir() if is_run(p)]
        _check_complete(path, inner)
        for run in sorted(inner, key=_natural) or [path]:
            before = len(found)
            other = found.setdefault(run.resolve(), Run(run))
            if len(found) == before:
                also = '' if other.path == run else f', also as {other.path}'
                raise ConfigError(f'{run} is named twice{also}: it would count twice; name every run once')
    return list(found.values())


def _check_complete(path: Path, runs: Sequence[Path]) -> None:
    """A mean over fewer folds than the table has would look like that over all."""
    table = path / CROSS_VALIDATION
    if not table.is_file():
        return
    again = f'python tools/cross_validate.py CONFIG --out {path}'
    try:
        header, *rows = read_csv(table) or [[]]
    except DataError as error:
        why = str(error).removeprefix(f'{table}: ')
        raise DataError(f'{table} is damaged: {why}; write it again with: {again}') from None
    names = [dict(zip(header, row, strict=False)).get('run', '') for row in rows]
    there = {run.name for run in runs}
    missing = [name for name in names if name and name not in {*there, *STATISTICS}]
    if missing:
        raise DataError(
            f'{table} names what is not there ({counted(len(missing), "run")}): '
            f'{", ".join(missing)}. Make them with: {again}, or name the runs to be averaged one by one'
        )


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r'(\d+)', path.name)
    return [(int(part), '') if part.isdigit() else (-1, part) for part in parts]


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
        preds: (frames,) by video, of test or train; None if no run has predictions of them.
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
    preds: dict[str, np.ndarray] | None
    tuned: tuple[Path, ...] = ()
    unit: str | None = None
    doubts: tuple[str, ...] = ()
