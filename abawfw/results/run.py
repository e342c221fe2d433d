"""The folder of a run: names of its files, and all that is read from it, with nothing but JSON and CSV."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from abawfw.config.diff import read_written
from abawfw.config.loading import VAConfig
from abawfw.conventions import TARGETS
from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, moments
from abawfw.groups import Groups
from abawfw.json_files import read_json
from abawfw.prediction_files import KINDS, PARTITIONS, Predictions, file_name, read_predictions
from abawfw.results.agreement import differences
from abawfw.results.interval_file import KeptIntervals, intervals_of
from abawfw.results.report_file import REPORT, TestedPipeline, doubts, read_pipeline, recorded
from abawfw.results.report_table import COUNTED, CROSS_VALIDATED
from abawfw.results.side_files import number, read_faces, read_times, read_val_groups
from abawfw.results.trial_files import FOLDER, has_trial_files, read_trial_files
from abawfw.text_files import read_csv

CONFIG = 'config.py'  # the config that the run was started with, overrides included
SUMMARY = 'summary.json'  # how far it is, and how it was made
METRICS = 'metrics.csv'  # a row per epoch
PREDICTIONS = 'predictions'  # folder of the prediction files and of what lies beside them
OUTPUT = 'output.log'  # what a run of a series printed
CROSS_VALIDATION = 'cross_validation.csv'  # table that tools/cross_validate.py leaves beside its runs
MEAN, STD = 'mean', 'deviation'  # its rows that are no runs

STAGES = tuple(KINDS)  # raw, clipped, smoothed
MARKS = (CONFIG, SUMMARY, OUTPUT, PREDICTIONS, FOLDER)  # any of these makes a folder a run, tested or not
FILES = '*_pred_*.json'


class Run:
    """A run as tests, ensembles, comparisons, pages and series read it.

    Files are read when they are asked for, once. What a file or a run of an older version lacks is empty, and
    a damaged file is an error that names it; only ``status``, ``best`` and ``scores`` take what is damaged
    for missing, since they are asked of runs that are just being written.

    Args:
        path: work_dir of a run; folder of prediction files; or folder with ``predict/`` in it, text files per
            trial without labels, as the reference of TAGF writes it.
        predictions: which of its folders holds the prediction files, where it was tested in several ways.

    Attributes:
        path: as given; it need not exist.
        name: of its folder.
        folder: where the prediction files lie: ``predictions/`` or the like, or the path itself.

    >>> run = Run('work_dirs/run')
    >>> run.status, run.targets
    ('done', ('valence', 'arousal'))
    >>> sorted(run.predictions('valence')) == sorted(run.labels('valence'))
    True
    """

    def __init__(self, path: Path | str, predictions: str = PREDICTIONS) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name
        inner = self.path / predictions
        self.folder = inner if inner.is_dir() else self.path
        self._read: dict[tuple[str, str], Predictions] = {}

    def require_val(self) -> Run:
        """The run itself, if it has predictions of val.

        Raises:
            DataError: there is no such folder, or no prediction file of val in it.
        """
        if not self.path.is_dir():
            raise DataError(f'{self.path}: no such folder; give the work_dir of a run')
        if not self.targets:
            raise DataError(
                f'{self.path} has no predictions of val; make them with: '
                f'python tools/test.py {shlex.quote(str(self.path))}'
            )
        return self

    # How it was made

    @cached_property
    def config(self) -> VAConfig:
        """The config that the run was started with, references not resolved; no code in it is run.

        Raises:
            ConfigError: the file is missing, or is not as a run writes it.
        """
        return read_written(self.path / CONFIG)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json: status, best values, seed, versions, seconds; {} without one.

        Raises:
            DataError: the file is damaged.
        """
        return _read_object(self.path / SUMMARY)

    @cached_property
    def report(self) -> dict[str, Any]:
        """report.json: the post-processing of each target, and the rows of the table; {} without one.

        Raises:
            DataError: the file is damaged.
        """
        return _read_object(self.folder / REPORT)

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        """metrics.csv: one dict per epoch, without what is no finite number; [] without one.

        Raises:
            DataError: the file is damaged.
        """
        return _read_table(self.path / METRICS)

    # How far it is

    @property
    def status(self) -> str | None:
        """'running', 'done', 'interrupted' or 'failed'; None where it has not begun or is unknown."""
        return self._known_summary.get('status')

    @property
    def best(self) -> dict[str, dict[str, Any]] | None:
        """By score, such as 'ccc_valence', its best value, epoch and checkpoint file; None where unknown."""
        found = self._known_summary.get('best')
        whole = isinstance(found, dict) and all(isinstance(entry, dict) for entry in found.values())
        return found if whole else None

    def scores(self, targets: Sequence[str]) -> dict[str, float] | None:
        """Validation CCC of a run that is trained and tested.

        Returns:
            ``ccc_TARGET`` of each target's best epoch (``best`` in summary.json), ``ccc_TARGET_smoothed`` of
            the same weights (report.json; cross-validated where post-processing was tuned on val), and before
            them their means over the targets, ``ccc`` and ``ccc_smoothed``; None where one of the files is
            missing or says nothing of a target, or where another checkpoint than the best one was tested.
        """
        try:
            best = self.best or {}
            # the cross-validated row, if there is one, comes after the tuned one, and counts
            smoothed = {r['target']: r['ccc'] for r in self.report['rows']['val'] if r['stage'] in COUNTED}
            raw = {target: best[f'ccc_{target}']['score'] for target in targets}
            tested = {t: made for t in targets if (made := recorded(self.report, 'val', t)) is not None}
            if any(Path(made['checkpoint']).name != best[f'ccc_{t}']['file'] for t, made in tested.items()):
                return None
            found = {'ccc': fmean(raw.values()), 'ccc_smoothed': fmean(smoothed[t] for t in targets)}
        except (DataError, ValueError, KeyError, TypeError):
            return None
        for target in targets:
            found |= {f'ccc_{target}': raw[target], f'ccc_{target}_smoothed': smoothed[target]}
        return found

    @property
    def _known_summary(self) -> dict[str, Any]:
        try:
            return self.summary
        except DataError:
            return {}

    # What a test left of val

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Targets that it has predictions of val of, in the order valence, arousal."""
        return tuple(
            t for t in TARGETS if any((self.folder / file_name('val', t, s)).is_file() for s in STAGES)
        )

    def predictions(self, target: str, stage: str = 'smoothed') -> dict[str, np.ndarray]:
        """Predictions of val by video, (frames,); stage is 'raw', 'clipped' or 'smoothed'.

        Raises:
            DataError: the file is missing or damaged, or differs from that of another stage in videos, frames
                or labels.
        """
        return self._of_val(target, stage).preds

    def labels(self, target: str) -> dict[str, np.ndarray]:
        """Labels of val by video, (frames,), NaN where there is none. Raises as ``predictions``."""
        labels = self._of_val(target, 'clipped').labels
        assert labels is not None  # a file without any is refused
        return labels

    def moments(self, target: str, stage: str = 'smoothed') -> dict[str, Moments]:
        """Statistics of labels and predictions by video; videos without a labelled frame have ``n`` 0."""
        labels = self.labels(target)
        return {v: moments(labels[v], pred) for v, pred in self.predictions(target, stage).items()}

    @cached_property
    def faces(self) -> dict[str, np.ndarray] | None:
        """Where a face was found, (frames,) bool by video; None where that is unknown.

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
        """Which videos belong to one person or session, as far as is known. Raises as ``groups_of``."""
        return self.groups_of(video for t in self.targets for video in self.predictions(t, 'clipped'))

    def groups_of(self, videos: Iterable[str]) -> Groups:
        """The groups of the videos of val, as far as they are known.

        Args:
            videos: that have predictions.

        Raises:
            DataError: the file is damaged, or belongs to other predictions.
        """
        return read_val_groups(self.folder, list(dict.fromkeys(videos)))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of val in report.json, for all targets; [] without them."""
        by_partition = self.report.get('rows')
        rows = by_partition.get('val') if isinstance(by_partition, dict) else None
        found = rows if isinstance(rows, list) else []
        return [row for row in found if isinstance(row, dict) and isinstance(row.get('target'), str)]

    def post_processing(self, target: str) -> TestedPipeline | None:
        """What made the smoothed predictions of a target; None where that is unknown.

        Raises:
            DataError: the file is damaged.
        """
        return read_pipeline(self.folder, target)

    def intervals(self, target: str) -> KeptIntervals | None:
        """How far its predictions may be from labels; None where that was not asked for. Raises as above."""
        return intervals_of(self.folder, self.report, target)

    @property
    def tuned(self) -> tuple[str, ...]:
        """Targets whose smoothed predictions were tuned on the labels of val: their scores flatter."""
        tuned = [row['target'] for row in self.rows if row.get('stage') == CROSS_VALIDATED]
        return tuple(t for t in self.targets if t in tuned)

    @cached_property
    def doubts(self) -> list[str]:
        """What speaks against predictions of val being those of the best checkpoints, a line each."""
        return self.doubts_of(self.targets)

    def doubts_of(self, targets: Sequence[str], partitions: Sequence[str] = ('val',)) -> list[str]:
        """The same of some targets and of partitions, 'train', 'val' or 'test'.

        Raises:
            DataError: report.json is damaged.
        """
        best = None
        if self.folder != self.path:
            files = {key: entry.get('file') for key, entry in (self.best or {}).items()}
            best = {key: self.path / Path(name).name for key, name in files.items() if isinstance(name, str)}
        return doubts(self.folder, self.report, best, targets, partitions)

    # What an ensemble reads: file by file, also of runs without val

    @cached_property
    def texts_only(self) -> bool:
        """Whether there are text files per trial and no prediction files: then labels are unknown."""
        return not any(self.folder.glob(FILES)) and (self.path / FOLDER).is_dir()

    def has(self, partition: str, target: str) -> bool:
        """Whether there are predictions of a target; the partition is 'train', 'val' or 'test'."""
        if self.texts_only:
            return partition != 'train' and has_trial_files(self.path, partition, target)
        return any(self.folder.glob(f'{PARTITIONS[partition]}_pred_{target}_*.json'))

    def estimates(self, target: str) -> bool:
        """Whether the run has a target; True also where its files are missing and should be there."""
        if any(self.has(partition, target) for partition in PARTITIONS):
            return True
        if self.texts_only:
            return False
        best = self.best
        if best is None:
            return not any(self.folder.glob(FILES))
        return f'ccc_{target}' in best or not best

    def read(self, partition: str, target: str, stage: str = 'clipped') -> Predictions:
        """One file of predictions as it is, which may be of another test than that of another stage.

        Args:
            partition: 'train', 'val' or 'test'.
            target: 'valence' or 'arousal'.
            stage: 'raw' (not of test), 'clipped' or 'smoothed'; text files are clipped.

        Raises:
            DataError: it is missing or damaged, or text files are asked for another stage.
        """
        if self.texts_only:
            if stage != 'clipped':
                raise DataError(f'{self.path / FOLDER} has no {stage} predictions; omit --{stage}')
            return Predictions(read_trial_files(self.path, partition, target), None)
        if self.folder == self.path and (self.path / CONFIG).is_file() and not any(self.path.glob(FILES)):
            raise DataError(
                f'{self.path} has no predictions; test it first: '
                f'python tools/test.py {shlex.quote(str(self.path))}'
            )
        smoothed, raw = stage == 'smoothed', stage == 'raw'
        return read_predictions(self.folder, PARTITIONS[partition], target, smoothed, raw)

    @property
    def _frames(self) -> dict[str, int]:
        return {v: len(p) for t in self.targets for v, p in self.predictions(t, 'clipped').items()}

    def _of_val(self, target: str, stage: str) -> Predictions:
        """Predictions of a stage with labels, known to be of the same test as the clipped ones."""
        if (target, stage) not in self._read:
            found = self.read('val', target, stage)
            if found.labels is None:
                raise DataError(
                    f'{self.folder / file_name("val", target, stage)} has no labels; {self._again}'
                )
            if stage != 'clipped':
                first = self._of_val(target, 'clipped')
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


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, which may not have begun, or holds prediction files."""
    return path.is_dir() and (any((path / mark).exists() for mark in MARKS) or any(path.glob(FILES)))


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is no file."""
    if not path.is_file():
        return {}
    content = read_json(path, 'move it away to go on without it')
    if not isinstance(content, dict):
        raise DataError(
            f'{path} is damaged: it holds a {type(content).__name__}, not an object; move it away to go on '
            'without it'
        )
    return content


def _read_table(path: Path) -> list[dict[str, float]]:
    """A CSV file with a header, one dict per row, of its finite numbers; [] where there is no file."""
    if not path.exists():
        return []
    try:
        header, *rows = [row for row in read_csv(path) if row] or [[]]
    except DataError as error:
        raise DataError(f'{error}; move it away to go on without it') from None
    uneven = [n for n, row in enumerate(rows, 2) if len(row) != len(header)]
    if uneven or (header and 'epoch' not in header):
        what = f'line {uneven[0]} has not the columns of line 1' if uneven else 'it has no column epoch'
        raise DataError(f'{path} is damaged: {what}; move it away to go on without it')
    cells = [zip(header, row, strict=True) for row in rows]
    return [{key: x for key, value in row if (x := _number(value)) is not None} for row in cells]


def _number(text: Any) -> float | None:
    """The number that a cell holds, if it is one."""
    try:
        return number(float(text))
    except (TypeError, ValueError):
        return None
