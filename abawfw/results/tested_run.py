"""A tested run as pages and comparisons read it: with nothing but JSON and CSV."""

from __future__ import annotations

import shlex
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, moments
from abawfw.groups import Groups
from abawfw.results.agreement import differences
from abawfw.results.predictions import KINDS, Predictions, file_name, predictions_folder, read_predictions
from abawfw.results.report_file import doubts
from abawfw.results.report_table import CROSS_VALIDATED
from abawfw.results.side_files import read_dict, read_faces, read_table, read_times, read_val_groups

TARGETS = ('valence', 'arousal')
STAGES = tuple(KINDS)  # raw, clipped, smoothed


class TestedRun:
    """What a run's folder tells of its validation: predictions, labels, faces, epochs, and how it was made.

    Files are read when they are asked for. Runs of older versions, which lack a file or a key, have an empty
    value there.

    Args:
        path: work_dir of a run, or a folder of prediction files.

    Attributes:
        path: as given.
        name: of its folder.
        folder: where the prediction files lie.
        targets: those it has predictions of, in the order valence, arousal.

    Raises:
        DataError: there is no such folder, or no prediction file of val in it.
    """

    __test__ = False  # its name is no invitation to pytest

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name
        if not self.path.is_dir():
            raise DataError(f'{self.path}: no such folder; give the work_dir of a run')
        self.folder = predictions_folder(self.path)
        self.targets = tuple(
            t for t in TARGETS if any((self.folder / file_name('val', t, s)).is_file() for s in STAGES)
        )
        if not self.targets:
            raise DataError(
                f'{self.path} has no predictions of val; make them with: '
                f'python tools/test.py {shlex.quote(str(self.path))}'
            )
        self._read: dict[tuple[str, str], Predictions] = {}

    def predictions(self, target: str, stage: str = 'smoothed') -> dict[str, np.ndarray]:
        """Predictions of a target by video, (frames,); stage is 'raw', 'clipped' or 'smoothed'.

        Raises:
            DataError: the file is missing or damaged, or differs from that of another stage in videos, frames
                or labels.
        """
        return self._file(target, stage).preds

    def labels(self, target: str) -> dict[str, np.ndarray]:
        """Labels of a target by video, (frames,), NaN where there is none. Raises as ``predictions``."""
        labels = self._file(target, 'clipped').labels
        assert labels is not None  # a file without any is refused
        return labels

    def moments(self, target: str, stage: str = 'smoothed') -> dict[str, Moments]:
        """Statistics of labels and predictions by video; videos without a labelled frame have ``n`` 0."""
        labels = self.labels(target)
        return {v: moments(labels[v], pred) for v, pred in self.predictions(target, stage).items()}

    @cached_property
    def faces(self) -> dict[str, np.ndarray] | None:
        """Where a face was found, (frames,) bool by video; None where nothing tells.

        Raises:
            DataError: the file is damaged, or belongs to other predictions.
        """
        return read_faces(self.folder, self._frames)

    @cached_property
    def times(self) -> dict[str, np.ndarray]:
        """Seconds at which each frame is shown, (frames,) by video, of those whose times are known.

        Raises:
            DataError: the file is damaged, or belongs to other predictions.
        """
        return read_times(self.folder, self._frames)

    @cached_property
    def groups(self) -> Groups:
        """Which videos belong to one person or session, as far as is known.

        Raises:
            DataError: the file is damaged, or belongs to other predictions.
        """
        videos = {video: None for t in self.targets for video in self.predictions(t, 'clipped')}
        return read_val_groups(self.folder, list(videos))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json: status, best values, seed, versions, seconds; {} without one."""
        return read_dict(self.path / 'summary.json')

    @cached_property
    def report(self) -> dict[str, Any]:
        """report.json: the post-processing of each target, and the rows of the table; {} without one."""
        return read_dict(self.folder / 'report.json')

    @cached_property
    def doubts(self) -> list[str]:
        """What speaks against the predictions being those of the run's best checkpoints, a line each."""
        return doubts(self.path, self.folder, self.report, self.targets)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of val in report.json, for all targets; [] without them."""
        by_partition = self.report.get('rows')
        rows = by_partition.get('val') if isinstance(by_partition, dict) else None
        found = rows if isinstance(rows, list) else []
        return [row for row in found if isinstance(row, dict) and isinstance(row.get('target'), str)]

    @property
    def tuned(self) -> tuple[str, ...]:
        """Targets whose smoothed predictions were tuned on the labels of val: their scores flatter."""
        tuned = [row['target'] for row in self.rows if row.get('stage') == CROSS_VALIDATED]
        return tuple(t for t in self.targets if t in tuned)

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        """metrics.csv: one dict per epoch, without what is no finite number; [] without one."""
        return read_table(self.path / 'metrics.csv')

    @property
    def _frames(self) -> dict[str, int]:
        return {v: len(p) for t in self.targets for v, p in self.predictions(t, 'clipped').items()}

    def _file(self, target: str, stage: str) -> Predictions:
        if (target, stage) not in self._read:
            found = read_predictions(self.folder, 'val', target, stage == 'smoothed', stage == 'raw')
            if found.labels is None:
                raise DataError(
                    f'{self.folder / file_name("val", target, stage)} has no labels; {self._again}'
                )
            if stage != 'clipped':
                first = self._file(target, 'clipped')
                names = [file_name('val', target, of) for of in ('clipped', stage)]
                if lines := differences(names, [first, found]):
                    listed = '\n  '.join(lines)
                    raise DataError(
                        f'{self.folder}: files of one test do not agree; {self._again}\n  {listed}'
                    )
                found = Predictions({video: found.preds[video] for video in first.preds}, first.labels)
            self._read[target, stage] = found
        return self._read[target, stage]

    @property
    def _again(self) -> str:
        return f'write them again with: python tools/test.py {shlex.quote(str(self.path))}'
