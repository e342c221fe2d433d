"""What each run adds to an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments
from abawfw.groups import Groups
from abawfw.results.agreement import differences
from abawfw.results.predictions import Predictions
from abawfw.submission.val_group import ValGroup
from abawfw.submission.weights import check_rule, find_weights


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
        without: CCC of the other runs, weighted anew by the same rule; None also where there are none.
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
        """CCC of the ensemble less that of the ensemble without the run; negative where it harms."""
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
    """The same of a group; ``weights`` of its runs in the ensemble, (runs,), are only told."""
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
