"""Runs as an ensemble reads them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from abawfw.errors import ConfigError, DataError, counted
from abawfw.groups import Groups
from abawfw.json_files import read_json
from abawfw.results.predictions import Predictions, predictions_folder, read_predictions
from abawfw.results.report_file import doubts
from abawfw.results.side_files import read_dict, read_val_groups
from abawfw.results.tested_run import TestedRun
from abawfw.results.trial_files import FOLDER, has_trial_files, read_trial_files

# Any of these in a folder makes it a run, tested or not; output.log is that of a series of runs.
MARKS = ('config.py', 'summary.json', 'output.log', 'predictions', FOLDER)
FILES = '*_pred_*.json'
CROSS_VALIDATION = 'cross_validation.csv'  # table that tools/cross_validate.py leaves beside its runs
STATISTICS = ('mean', 'deviation')  # its rows that are no runs


class RunFolder:
    """Predictions of one run: its JSON files, or else its text files per trial, which have no labels.

    Args:
        path: work folder of a run, folder of prediction files, or folder with ``predict/`` in it as the
            reference of TAGF writes it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.folder = predictions_folder(path)
        self._texts_only = not any(self.folder.glob(FILES)) and (self.path / FOLDER).is_dir()

    def has(self, target: str) -> bool:
        """Whether the run estimates a target; True also where its files are missing and should be there."""
        if self._texts_only:
            return any(has_trial_files(self.path, partition, target) for partition in ('val', 'test'))
        if any(self.folder.glob(f'*_pred_{target}_*.json')):
            return True
        try:
            best = read_json(self.path / 'summary.json')['best']
        except (DataError, KeyError, TypeError):
            return not any(self.folder.glob(FILES))
        return f'ccc_{target}' in best or not best

    def read_val(self, target: str, smoothed: bool) -> Predictions | None:
        """Predictions and labels of val; None for a run that can have none."""
        return None if self._texts_only else read_predictions(self.folder, 'val', target, smoothed)

    def groups(self, val: Predictions) -> Groups:
        """The groups of the videos of val, as far as they are known.

        Args:
            val: as ``read_val`` gives it.

        Raises:
            DataError: the file that says them is damaged, or of other predictions.
        """
        return read_val_groups(self.folder, list(val.preds))

    @property
    def tuned(self) -> tuple[str, ...]:
        """Targets whose smoothed predictions were tuned on the labels of val."""
        try:
            return TestedRun(self.path).tuned
        except DataError:  # without val there is nothing to tune on
            return ()

    def doubts(self, target: str) -> list[str]:
        """What speaks against the predictions being those of the run's best checkpoints, a line each.

        Raises:
            DataError: report.json is damaged.
        """
        if self._texts_only:
            return []
        files = {'val': 'val', 'test': 'tst'}
        there = [p for p, name in files.items() if any(self.folder.glob(f'{name}_pred_{target}_*.json'))]
        return doubts(self.path, self.folder, read_dict(self.folder / 'report.json'), [target], there)

    def has_test(self, target: str) -> bool:
        """Whether there are predictions of the test videos."""
        if self._texts_only:
            return has_trial_files(self.path, 'test', target)
        return any(self.folder.glob(f'tst_pred_{target}_*.json'))

    def read_test(self, target: str, smoothed: bool) -> Predictions:
        """Predictions of the test videos.

        Raises:
            DataError: they are missing or damaged, or text files are asked for smoothed predictions.
        """
        if not self._texts_only:
            return read_predictions(self.folder, 'tst', target, smoothed)
        if smoothed:
            raise DataError(f'{self.path / FOLDER} has no smoothed predictions; leave --smoothed away')
        return Predictions(read_trial_files(self.path, 'test', target), None)


def expand(paths: Sequence[Path | str]) -> list[RunFolder]:
    """The runs that are meant: a folder that is none itself stands for those in it, fold2 before fold10.

    Raises:
        ConfigError: a run is named twice, however it is spelt: it would count twice.
        DataError: a folder lacks a run of its cross-validation.
    """
    found: dict[Path, RunFolder] = {}
    for path in map(Path, paths):
        inner = [] if _is_run(path) or not path.is_dir() else [p for p in path.iterdir() if _is_run(p)]
        _check_complete(path, inner)
        for run in sorted(inner, key=_natural) or [path]:
            before = len(found)
            other = found.setdefault(run.resolve(), RunFolder(run))
            if len(found) == before:
                also = '' if other.path == run else f', also as {other.path}'
                raise ConfigError(f'{run} is named twice{also}: it would count twice; name every run once')
    return list(found.values())


def _check_complete(path: Path, runs: Sequence[Path]) -> None:
    """A mean over fewer folds than the table has would look like that over all."""
    table = path / CROSS_VALIDATION
    if not table.is_file():
        return
    with table.open(encoding='utf-8', newline='') as file:
        names = [row.get('run') or '' for row in csv.DictReader(file)]
    there = {run.name for run in runs}
    missing = [name for name in names if name and name not in {*there, *STATISTICS}]
    if missing:
        raise DataError(
            f'{table} names what is not there ({counted(len(missing), "run")}): '
            f'{", ".join(missing)}. Make them with: '
            f'python tools/cross_validate.py CONFIG --out {path}, or name the runs to be averaged one by one'
        )


def _is_run(path: Path) -> bool:
    return path.is_dir() and (any((path / mark).exists() for mark in MARKS) or any(path.glob(FILES)))


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r'(\d+)', path.name)
    return [(int(part), '') if part.isdigit() else (-1, part) for part in parts]
