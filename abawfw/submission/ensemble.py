"""Weighted means of the predictions of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments
from abawfw.evaluation.prediction_files import Predictions, file_name, predictions_folder, read_predictions
from abawfw.submission.agreement import differences
from abawfw.submission.weights import RunMoments, cross_validate, find_weights


@dataclass(frozen=True)
class TargetEnsemble:
    """The ensemble of one target.

    Attributes:
        weights: of each run, in the order given.
        run_ccc: validation CCC of each run alone.
        val: statistics of labels and ensemble over all validation frames; weights found on the same frames.
        cross_validated_ccc: CCC where no video took part in finding its own weights; None for one video.
        test_preds: (frames,) by video; None if no run has test predictions.
    """

    weights: tuple[float, ...]
    run_ccc: tuple[float, ...]
    val: Moments
    cross_validated_ccc: float | None
    test_preds: dict[str, np.ndarray] | None


class Ensemble:
    """Runs whose predictions are averaged per target.

    Args:
        runs: work folders (with predictions/ in them) or folders that hold prediction files.
        targets: to average.
        smoothed: take the smoothed predictions instead of the clipped ones.
        weights: rule, see ``find_weights``.

    Attributes:
        targets: dict of target -> ``TargetEnsemble``.

    Raises:
        ConfigError: no run, or an unknown rule.
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
        self.runs = [Path(run) for run in runs]
        self.smoothed, self.rule = smoothed, weights
        self._folders = [predictions_folder(run) for run in runs]
        files = {(t, p): self._read(t, p) for t in targets for p in ('val', 'tst')}
        problems = [
            f'{partition}, {target}: {line}'
            for (target, partition), read in files.items()
            for line in differences([str(run) for run in self.runs], read)
        ]
        if problems:
            raise DataError('these runs cannot be averaged:\n  ' + '\n  '.join(problems))
        self.targets = {t: self._average(files[t, 'val'], files[t, 'tst'], t) for t in targets}

    def _read(self, target: str, partition: str) -> list[Predictions]:
        kind = 'smoothed' if self.smoothed else 'clipped'
        names = [folder / file_name(partition, target, kind) for folder in self._folders]
        if partition == 'tst' and not any(name.is_file() for name in names):
            return []
        return [read_predictions(folder, partition, target, self.smoothed) for folder in self._folders]

    def _average(self, val: list[Predictions], tst: list[Predictions], target: str) -> TargetEnsemble:
        labels = val[0].labels
        if labels is None:
            raise DataError(f'{self._folders[0]}: the predictions of val have no labels of {target}')
        videos = [RunMoments.of(labels[v], [run.preds[v] for run in val]) for v in labels]
        pooled = RunMoments.pool(videos)
        if not pooled.n:
            raise DataError(f'{self._folders[0]}: no frame of val has a label of {target}')
        weights = find_weights(self.rule, pooled)
        return TargetEnsemble(
            weights=tuple(weights.tolist()),
            run_ccc=tuple(pooled.ccc(one) for one in np.eye(len(val))),
            val=pooled.weighted(weights),
            cross_validated_ccc=cross_validate(self.rule, videos),
            test_preds=_weighted(weights, tst) if tst else None,
        )


def _weighted(weights: np.ndarray, read: list[Predictions]) -> dict[str, np.ndarray]:
    return {
        video: np.sum([w * run.preds[video] for w, run in zip(weights, read, strict=True)], axis=0)
        for video in read[0].preds
    }
