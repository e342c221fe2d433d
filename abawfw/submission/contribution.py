"""Runs measured on the validation videos that they have in common, and what each adds to their ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, ccc_centring, moments
from abawfw.groups import Groups
from abawfw.prediction_files import Predictions
from abawfw.results.agreement import differences
from abawfw.submission.weights import (
    FITTED,
    ccc_of_means,
    check_rule,
    cross_validated_ccc,
    find_weights,
    mean_moments,
)


@dataclass(frozen=True)
class ValGroup:
    """What some runs have predicted of the validation videos that they have in common.

    Attributes:
        labels: (frames,) by video, NaN where there is none.
        preds: of each run, (frames,) by video.
        units: statistics of all runs on each video, or, where videos depend on one another, on each group of
            videos.
    """

    labels: Mapping[str, np.ndarray]
    preds: tuple[Mapping[str, np.ndarray], ...]
    units: tuple[Moments, ...]

    @classmethod
    def of(
        cls,
        labels: Mapping[str, np.ndarray],
        preds: Sequence[Mapping[str, np.ndarray]],
        groups: Groups | None = None,
    ) -> ValGroup:
        """The group of runs with these predictions (one run or more).

        Args:
            labels: (frames,) by video, NaN where there is none.
            preds: of each run, (frames,) by video.
            groups: of the videos, as far as they are known.
        """
        videos = {v: moments(label, [p[v] for p in preds]) for v, label in labels.items()}
        units = (groups or Groups()).units(videos)
        pooled = (Moments.pool([videos[v] for v in unit]) for unit in units)
        return cls(labels, tuple(preds), tuple(pooled))

    @cached_property
    def pooled(self) -> Moments:
        """Statistics of all videos together."""
        return Moments.pool(self.units)

    @property
    def run_ccc(self) -> list[float]:
        """CCC of each run alone."""
        return ccc_of_means(self.pooled, np.eye(len(self.preds))).tolist()

    def without(self, run: int) -> ValGroup:
        """The group of the other runs."""
        preds = self.preds[:run] + self.preds[run + 1 :]
        return ValGroup(self.labels, preds, tuple(_without(unit, run) for unit in self.units))

    def measure(self, rule: str, weights: np.ndarray | None = None) -> Moments:
        """Statistics of labels and of the mean of the group's runs; equal weights if none are given."""
        weights = np.full(len(self.preds), 1 / len(self.preds)) if weights is None else weights
        if rule != 'centred':
            return mean_moments(self.pooled, weights)
        together = {v: mean_of_runs(rule, weights, [p[v] for p in self.preds]) for v in self.labels}
        return Moments.pool(moments(label, together[v]) for v, label in self.labels.items())

    def fair_ccc(self, rule: str) -> float | None:
        """CCC of the group's runs under a rule, cross-validated over units where that looks at labels.

        Returns:
            None where the rule looks at labels and fewer than two units have any.
        """
        return cross_validated_ccc(rule, self.units) if rule in FITTED else self.measure(rule).ccc


def _without(unit: Moments, run: int) -> Moments:
    """Statistics of the other runs on the same frames."""

    def others(values: np.ndarray) -> np.ndarray:
        for axis in range(values.ndim):
            values = np.delete(values, run, axis)
        return values

    return replace(
        unit,
        mean_pred=others(unit.mean_pred),
        square_pred=others(unit.square_pred),
        product=others(unit.product),
        squared_error=others(unit.squared_error),
    )


def mean_of_runs(rule: str, weights: np.ndarray, preds: Sequence[np.ndarray]) -> np.ndarray:
    """One video's weighted mean over runs, (frames,); for 'centred' the mean of the centred runs.

    Centring can push values past the ends of the scale; they are put back, as in a submission.
    """
    if rule == 'centred':
        return np.clip(ccc_centring(np.stack(preds)).centred.mean(axis=0), -1.0, 1.0)
    return np.sum([weight * pred for weight, pred in zip(weights, preds, strict=True)], axis=0)


@dataclass(frozen=True)
class Contribution:
    """One run of an ensemble.

    CCCs with and without the run are those of all runs with the same validation videos; for rules that look
    at labels, cross-validated over videos, or groups of them: on frames that weights were fitted on, every
    run seems to help.

    Attributes:
        run: its name.
        ccc: of the run alone; None without val.
        weight: in the ensemble.
        together: CCC of the ensemble; None where it is unknown (no val, or one video or group to fit weights
            on).
        without: CCC of the other runs, with new weights by the same rule; None also where there are none.
        error_correlation: mean correlation of its errors with those of each other run: a weak run that errs
            in its own way helps. None where there is no other run.
    """

    run: str
    ccc: float | None
    weight: float
    together: float | None = None
    without: float | None = None
    error_correlation: float | None = None

    @property
    def alone(self) -> bool:
        """Whether no other run has predicted its validation videos, so that nothing can be compared."""
        return self.error_correlation is None

    @property
    def adds(self) -> float | None:
        """CCC of the ensemble minus that of the ensemble without the run; negative where it harms."""
        return None if self.together is None or self.without is None else self.together - self.without


def contributions(
    rule: str,
    labels: Mapping[str, np.ndarray],
    preds: Mapping[str, Mapping[str, np.ndarray]],
    groups: Groups | None = None,
) -> list[Contribution]:
    """What each of several runs adds to their ensemble on videos that all have predicted.

    Args:
        rule: how runs are weighted, see ``RULES``.
        labels: of one target by video, (frames,), NaN where there is none.
        preds: by name of the run, by video, (frames,).
        groups: of the videos, as far as they are known: no fold of a cross-validation parts them.

    Returns:
        One for each run, in their order.

    Raises:
        ConfigError: unknown rule.
        DataError: no run; videos or numbers of frames differ; a prediction is not finite; there is no label;
            or the rule finds no weights (see ``find_weights``).
    """
    check_rule(rule)
    if not preds:
        raise DataError('there is no run, so nothing can add to an ensemble')
    found = [Predictions(dict(labels), None), *(Predictions(dict(of_run), None) for of_run in preds.values())]
    if problems := differences(['the labels', *preds], found):
        raise DataError('these runs cannot be compared:\n  ' + '\n  '.join(problems))
    for run, of_run in preds.items():
        for video, pred in of_run.items():
            if not np.isfinite(pred).all():
                frame = int(np.argmin(np.isfinite(pred)))
                raise DataError(f'{run}, video {video}, frame {frame}: the prediction is {pred[frame]}')
    group = ValGroup.of(labels, list(preds.values()), groups)
    if not group.pooled.n:
        raise DataError('no frame has a label, so no run can be measured')
    return group_contributions(rule, group, list(preds), find_weights(rule, group.pooled))


def group_contributions(
    rule: str, group: ValGroup, names: Sequence[str], weights: np.ndarray
) -> list[Contribution]:
    """The same of a group; ``weights`` of its runs in the ensemble, (runs,), are only reported."""
    together, run_ccc = group.fair_ccc(rule), group.run_ccc
    if len(names) == 1:
        return [Contribution(names[0], run_ccc[0], float(weights[0]), together)]
    correlation = _error_correlation(group.pooled)
    others = (correlation.sum(axis=1) - correlation.diagonal()) / (len(names) - 1)
    return [
        Contribution(
            run=name,
            ccc=run_ccc[i],
            weight=float(weights[i]),
            together=together,
            without=group.without(i).fair_ccc(rule),
            error_correlation=float(others[i]),
        )
        for i, name in enumerate(names)
    ]


EXACT = 1e-12  # errors that vary less than this fraction of labels and predictions are rounding


def _error_correlation(statistics: Moments) -> np.ndarray:
    """Pearson correlation of the runs' errors, prediction less label, (runs, runs).

    0 with a run whose error is constant, as CCC and PCC are.
    """
    true, label, preds = statistics.product, statistics.square_true, statistics.square_pred
    product = preds - true - true[:, None] + label
    square = product.diagonal()
    varies = square > EXACT * (preds.diagonal() + label)
    scale = np.sqrt(np.where(varies, square, np.inf))
    return product / scale / scale[:, None]
