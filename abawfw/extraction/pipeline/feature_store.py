"""A store that grows video by video."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.records import (
    EXTRACTION,
    PARTITIONS,
    FeatureInfo,
    VideoInfo,
    read_extraction,
    write_extraction,
)
from abawfw.datasets.stores.trials.index import INDEX, Trial, TrialIndex
from abawfw.errors import DataError
from abawfw.extraction.extractors.base import TranscriptExtractor
from abawfw.extraction.faces.detectors.base import FACES, recorded
from abawfw.extraction.faces.trial_faces import CropFolder
from abawfw.files import check_folder, is_temporary, lock, write_text
from abawfw.json_files import read_json, truth_value, whole_number


class GrowingStore:
    """Trials added one video at a time to the root of a `TrialStore`, which is whole at any moment.

    A trial's folder appears under its name when everything in it is written, with ``trial.json`` that says
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
        check_folder(self.root, 'choose another folder, or check the permissions and free space of this one')
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
        held = [path.name for path in self.root.iterdir() if not _is_left(path)]
        if not held:  # or an extraction was killed before its settings were written
            return
        if not (self.root / EXTRACTION).is_file():
            raise DataError(
                f'{self.root}: holds files ({min(held)}) and is no store of extracted features; choose '
                'another folder'
            )
        if not resume:
            raise DataError(f'{self.root}: exists already; continue it (--resume), or choose another folder')

    def _locked(self) -> int:
        number = os.open(self.root, os.O_RDONLY)
        if not lock(number, self.root):
            os.close(number)
            raise DataError(f'{self.root}: another extraction is writing here; wait for its end, or stop it')
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
        for path in filter(_is_left, list(self.root.iterdir())):
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


def _is_left(path: Path) -> bool:
    """Whether a trial in work or a file being written; left behind only by a process that was killed."""
    return is_temporary(path.name) or path.match('.*.tmp-*')  # the latter of version 0.1


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


TRIAL = 'trial.json'


@dataclass(frozen=True)
class FinishedTrial:
    """A trial whose folder is whole.

    Attributes:
        info: name, partition, frames, mean rate.
        masked: features of which some frames were not observed.
        video: name of the video that it is from.
        siblings: names of all trials of that video, this one among them.
        size: bytes of the video's file.
        annotation: what the labels were made from, see `label_digest`; None without.
        sources: what else it was made from, see `source_digests`; {} of a version that did not record it.
    """

    info: VideoInfo
    masked: frozenset[str]
    video: str
    siblings: tuple[str, ...]
    size: int
    annotation: str | None
    sources: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into the folder of the trial."""
        content = {
            **Trial(self.info, folder, self.masked).to_json(),
            'video': self.video,
            'siblings': list(self.siblings),
            'size': self.size,
            'annotation': self.annotation,
            'sources': dict(self.sources),
        }
        write_text(folder / TRIAL, json.dumps(content, indent=1) + '\n')

    def trial(self, root: Path) -> Trial:
        """The same for the index of a store."""
        return Trial(self.info, root / self.info.video_id, self.masked)

    @classmethod
    def read(cls, folder: Path) -> FinishedTrial:
        """Read the file of a folder.

        Raises:
            DataError: it is damaged, or that of another trial.
        """
        path = folder / TRIAL
        way_out = f'remove the folder {folder} and extract its video again'
        data: dict[str, Any] = read_json(path, way_out)
        try:
            fps = None if data['fps'] is None else float(data['fps'])
            info = VideoInfo(
                str(data['trial']),
                str(data['partition']),
                whole_number(data['length']),
                fps,
                truth_value(data['labels']),
            )
            annotation = None if data['annotation'] is None else str(data['annotation'])
            masked, siblings = frozenset(map(str, data['valid'])), tuple(map(str, data['siblings']))
            sources = {str(name): str(digest) for name, digest in dict(data.get('sources', {})).items()}
            video, size = str(data['video']), whole_number(data['size'])
            found = cls(info, masked, video, siblings, size, annotation, sources)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(f'{path}: damaged ({error!r}); {way_out}') from error
        if info.video_id != folder.name or info.partition not in PARTITIONS or info.num_frames < 1:
            raise DataError(
                f'{path}: is of trial {info.video_id!r}, {info.num_frames} frames, in {info.partition!r}; '
                f'remove the folder {folder} and extract its video again'
            )
        return found


def label_digest(labels: NDArray) -> str:
    """A short text that differs where labels (rows, 2) differ."""
    values = np.ascontiguousarray(labels, np.float32)
    return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()


PIECES, PIECE_BYTES = 16, 1 << 16
"""Of a video's file that are compared: 1 MB of a file of any size."""


def source_digests(
    path: Path, name: str, faces: object, of_transcripts: Iterable[TranscriptExtractor]
) -> dict[str, str]:
    """What a trial is made from, as short texts that differ where it differs, by what it is.

    Args:
        path: the video, of which its size and pieces from the first to the last byte count.
        name: of the trial.
        faces: where faces come from; of a `CropFolder` names and sizes of the crops count.
        of_transcripts: extractors of transcripts, whose files count.

    Raises:
        DataError: there are no crops, or there is no transcript.
        OSError: a file cannot be read.
    """
    size = path.stat().st_size
    content = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open('rb') as file:
        for k in range(PIECES):
            file.seek(k * max(size - PIECE_BYTES, 0) // (PIECES - 1))
            content.update(file.read(PIECE_BYTES))
    found = {'content': content.hexdigest()}
    if isinstance(faces, CropFolder):
        found['crops'] = faces.digest(name)
    texts = [text.read_bytes() for of in of_transcripts if (text := of.file(path.stem)) is not None]
    if texts:
        found['transcript'] = hashlib.blake2b(b''.join(texts), digest_size=16).hexdigest()
    return found
