"""Testing a run: predictions of each target's best checkpoint, files, and a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from abawfw.apis.check import check_config
from abawfw.apis.trained_targets import Curves, TrainedTargets, smoothing_windows
from abawfw.config import resolve
from abawfw.datasets.stores import open_store
from abawfw.errors import DataError
from abawfw.evaluation.functional import window_search
from abawfw.evaluation.prediction_files import write_predictions
from abawfw.evaluation.report_table import report_rows
from abawfw.evaluation.trial_files import write_trial_files
from abawfw.files import write_text

FILE_PARTITION = {'val': 'val', 'test': 'tst'}


@dataclass
class TestReport:
    """What a test run gives.

    Attributes:
        rows: per partition with labels, the rows of ``report_rows``, for all targets.
        windows: smoothing window of each target, in frames, one-sided.
        files: the files written.
        notes: what the reader should know, such as a partition that the store does not have.
    """

    __test__ = False  # its name is no invitation to pytest

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def test(
    cfg: Config,
    checkpoints: Mapping[str, Path],
    out: Path,
    partitions: Sequence[str] | None = None,  # noqa: PT028
    windows: Mapping[str, int] | str | None = None,  # noqa: PT028
) -> TestReport:
    """Predict with a checkpoint per target, write the prediction files and measure.

    Args:
        cfg: loaded config, references not resolved.
        checkpoints: checkpoint of each target to test.
        out: folder for the files (names of spec/rucaim3.md, Inference) and ``report.json``. Where the config
            says ``trial_files = True``, text files per trial come beside it if it is called ``predictions``,
            and into it otherwise.
        partitions: which partitions; None for val and test, as far as the store has them.
        windows: smoothing window of each target (the config's where not given), or 'search' for the best of
            0, 5, ... 95 on val.

    Raises:
        ConfigError, DataError, CheckpointError: see their messages.
    """
    check_config(cfg)
    cfg = resolve(cfg)
    report = TestReport()
    present = {v.partition for v in open_store(cfg.data_root).videos()}
    if partitions is None:
        partitions = [p for p in ('val', 'test') if p in present]
        if not partitions:
            raise DataError(
                f'{cfg.data_root}: has neither val nor test videos, only {", ".join(sorted(present))}'
            )
        if 'test' not in present:
            report.notes.append(f'{cfg.data_root} has no test partition: nothing was predicted for it')
    unknown = sorted(set(partitions) - present)
    if unknown:
        raise DataError(
            f'{cfg.data_root}: no partition {", ".join(unknown)}; it has {", ".join(sorted(present))}'
        )
    # val first: a search for windows needs it before anything is written
    needed = ['val', *partitions] if windows == 'search' else list(partitions)
    trained = TrainedTargets(cfg, checkpoints)
    predictions = {p: trained.predict(p) for p in dict.fromkeys(needed)}
    report.windows = _windows(cfg, list(checkpoints), windows, predictions)
    for partition in dict.fromkeys(partitions):
        for target, (pred, label) in predictions[partition].items():
            labels = label if any(np.isfinite(x).any() for x in label.values()) else None
            window = report.windows[target]
            report.files += write_predictions(out, FILE_PARTITION[partition], target, pred, labels, window)
            if cfg.get('trial_files', False):
                run = out.parent if out.name == 'predictions' else out
                report.files += write_trial_files(run, partition, target, pred)
            if labels is not None:
                report.rows.setdefault(partition, []).extend(report_rows(target, pred, labels, window))
    write_text(
        out / 'report.json', json.dumps({'windows': report.windows, 'rows': report.rows}, indent=1) + '\n'
    )
    return report


def _windows(
    cfg: Config, targets: list[str], given: Mapping[str, int] | str | None, predictions: Mapping[str, Any]
) -> dict[str, int]:
    if given == 'search':
        return {t: _best_window(*predictions['val'][t]) for t in targets}
    return smoothing_windows(cfg, targets, given if isinstance(given, Mapping) else {})


def _best_window(pred: Curves, label: Curves) -> int:
    return window_search(list(pred.values()), list(label.values())).window
