"""A store that grows video by video."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from abawfw.datasets.stores.base import FeatureInfo
from abawfw.datasets.stores.extraction_file import EXTRACTION, read_extraction, write_extraction
from abawfw.datasets.stores.trial_index import INDEX, TrialIndex
from abawfw.errors import DataError
from abawfw.features.detectors.base import FACES, recorded
from abawfw.features.finished_trial import TRIAL, FinishedTrial
from abawfw.files import write_text

LEFT = ('.*.tmp-*', f'.{EXTRACTION}.*.tmp', f'.{INDEX}.*.tmp')
"""Folders of videos in work and files being written; left behind only by a process that was killed."""


class GrowingStore:
    """Trials added one video at a time to the root of a `TrialStore`, which is whole at any moment.

    A trial's folder appears under its name when everything in it is written, with ``trial.json`` that tells
    all about it. ``trials.json`` lists the trials of the finished videos, sorted by name, and is replaced as
    a whole; a trial that was finished when the process was killed before that is entered when the store is
    opened again. ``extraction.json`` has the settings that all trials were made with.

    Args:
        root: folder; made if it is not there.
        features: shape and type of every feature.
        extraction: settings by feature, plain values, and under ``faces`` where faces come from.
        resume: go on with a store that is there.

    Raises:
        DataError: the folder holds something and is not to be gone on with, or it is no store of this kind;
            it was made with other features or settings; a trial in it is damaged; another process writes into
            it; or it cannot be written.
    """

    def __init__(
        self,
        root: str | Path,
        features: Mapping[str, FeatureInfo],
        extraction: Mapping[str, Any],
        resume: bool = False,
    ) -> None:
        self.root = Path(root)
        self._features = dict(features)
        self._check_root(resume)
        self._make_writable()
        self._lock = self._locked()
        try:
            self._settle(json.loads(json.dumps(extraction)))
            self._remove_left()
            self._trials = self._find()
            if self._trials:
                self._write_index()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> GrowingStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._remove_left()
        self.close()

    def close(self) -> None:
        """Let others write into the store."""
        os.close(self._lock)

    @property
    def trials(self) -> tuple[FinishedTrial, ...]:
        """The trials of all finished videos, sorted by name."""
        return tuple(trial for _, trial in sorted(self._trials.items()))

    def of_video(self, video: str) -> tuple[FinishedTrial, ...]:
        """The trials of a video; none if it is not finished."""
        return tuple(trial for trial in self.trials if trial.video == video)

    def add(self, trials: Sequence[FinishedTrial]) -> None:
        """Enter the trials of a video, whose folders are there.

        Raises:
            DataError: a trial of another video has the name of one of these.
        """
        for trial in trials:
            there = self._trials.get(trial.info.video_id)
            if there is not None and there.video != trial.video:
                raise DataError(
                    f'{self.root}: trial {trial.info.video_id!r} is of video {there.video!r} and of '
                    f'{trial.video!r}; rename one of these videos'
                )
        self._trials |= {trial.info.video_id: trial for trial in trials}
        self._write_index()

    def _check_root(self, resume: bool) -> None:
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise DataError(f'{self.root}: is a file; choose a folder for the store')
        held = [path.name for path in self.root.iterdir() if not any(path.match(left) for left in LEFT)]
        if not held:  # or an extraction was killed before its settings were written
            return
        if not (self.root / EXTRACTION).is_file():
            raise DataError(
                f'{self.root}: holds files ({min(held)}) and is no store of extracted features; choose '
                'another folder'
            )
        if not resume:
            raise DataError(
                f'{self.root}: is there already; go on with it (--resume), or choose another folder'
            )

    def _make_writable(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise DataError(
                f'{self.root}: the store cannot be written ({error.strerror}); choose another folder, or '
                'see to the rights and the space of this one'
            ) from error

    def _locked(self) -> int:
        number = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            raise DataError(
                f'{self.root}: another extraction writes into it; wait for its end or stop it'
            ) from None
        return number

    def _settle(self, extraction: dict[str, Any]) -> None:
        """Write the settings, or compare them with those that are there."""
        there = read_extraction(self.root)
        if not there:
            write_extraction(self.root, extraction)
            return
        for settings in (there, extraction):
            if FACES in settings:
                settings[FACES] = recorded(settings[FACES])
        if changes := list(_changes(there, extraction)):
            listed = '\n  '.join(changes)
            raise DataError(
                f'{self.root}: was extracted with other settings:\n  {listed}\n'
                'extract with the old ones, or into another folder'
            )

    def _remove_left(self) -> None:
        """Only under the lock: what matches is of nobody else."""
        for path in [path for left in LEFT for path in self.root.glob(left)]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _find(self) -> dict[str, FinishedTrial]:
        """The trials of videos of which no trial is missing."""
        folders = sorted(path.parent for path in self.root.glob(f'*/{TRIAL}'))
        trials = {folder.name: FinishedTrial.read(folder) for folder in folders}
        return {name: trial for name, trial in trials.items() if set(trial.siblings) <= set(trials)}

    def _write_index(self) -> None:
        trials = tuple(trial.trial(self.root) for trial in self.trials)
        index = TrialIndex(trials, self._features, self.root / INDEX)
        write_text(self.root / INDEX, json.dumps(index.to_json(), indent=1) + '\n')


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Every difference between settings, a line each."""
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f'{name}: is in the store, and was not asked for'
        elif name not in old:
            yield f'{name}: is not in the store'
        else:
            for key in sorted(old[name].keys() | new[name].keys()):
                before, after = old[name].get(key), new[name].get(key)
                if before != after:
                    yield f'{name}: {key} is {before!r} in the store, {after!r} now'
