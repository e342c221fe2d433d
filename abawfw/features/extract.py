"""One video to the folders of its trials."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.base import VideoInfo
from abawfw.errors import DataError
from abawfw.features.crop_folder import CropFolder
from abawfw.features.detectors.base import OFFICIAL, FaceDetector
from abawfw.features.extractors.base import Extractor, FaceExtractor, SoundExtractor, WordExtractor
from abawfw.features.face_track import crops
from abawfw.features.finished_trial import FinishedTrial, digest
from abawfw.features.label_rows import match_rows
from abawfw.features.recording import Recording
from abawfw.features.sound import Sound
from abawfw.features.trial_folder import TrialFolder
from abawfw.features.trial_tracks import find_trials
from abawfw.features.watched_recording import WatchedRecording


@dataclass(frozen=True)
class ExtractionReport:
    """What was made of a video.

    Attributes:
        video: its name.
        trials: one per person.
        faces: by trial, the frames in which a face was found, and those in which it was not and is held over
            a short gap; {} where no face was looked for.
        seconds: from the first frame to the last.
        notes: what was missing, repaired or taken for granted, a line each.
    """

    video: str
    trials: tuple[FinishedTrial, ...]
    faces: dict[str, tuple[int, int]]
    seconds: float
    notes: tuple[str, ...]


def extract_video(
    path: str | Path,
    extractors: Sequence[Extractor],
    faces: FaceDetector | CropFolder | None,
    out: str | Path,
    labels: Mapping[str, NDArray] | None = None,
    persons: int = 1,
    partition: str = 'test',
    progress: Callable[[float], None] | None = None,
) -> ExtractionReport:
    """Write one folder per person of a video, a trial in the layout of `TrialStore`.

    Frame i is the i-th picture decoded, at the time at which it is shown. In a trial's folder: an array per
    feature, ``FEATURE_valid.npy`` where not every frame could be observed, ``frame_times.npy``,
    ``face_track.npz`` where faces were looked for, labels if there are any, and ``trial.json``. All is
    written to a temporary folder and gets its name when it is whole.

    Args:
        path: the video; its name without ending is that of the trial.
        extractors: what to extract.
        faces: finds the faces, or has official crops; may be None without an extractor of faces.
        out: folder of the trials.
        labels: (rows, 2), NaN where there is none, by ``''``, ``'_left'`` or ``'_right'``, for the persons
            that are annotated; only these get a trial then.
        persons: 1 or 2, how many get a trial where nobody is annotated.
        partition: of the trials.
        progress: called now and then with the share that is done.

    Raises:
        DataError: the video cannot be read, an annotation does not fit, an extractor fails, or frames are
            missing and there are annotations or official crops, which tell frames by their number.
        OSError: the disk is full or cannot be written.
    """
    path, out, labels = Path(path), Path(out), labels or {}
    of_faces = [e for e in extractors if isinstance(e, FaceExtractor)]
    of_sound = [e for e in extractors if isinstance(e, SoundExtractor)]
    of_words = [e for e in extractors if isinstance(e, WordExtractor)]
    if of_faces and faces is None:
        raise DataError(f'{path}: features of faces need a face detector or a folder of crops')
    recording = WatchedRecording(path, progress, 1 + bool(of_faces))
    temporary = out / f'.{path.stem}.tmp-{os.getpid()}'
    try:
        sound = Sound(path) if of_sound else None  # opened before the long work, decoded after it
        trials = find_trials(recording, faces if of_faces else None, labels, persons)
        _check_whole(recording, labels, faces if of_faces else None)
        times, notes = trials.times, list(trials.notes)
        temporary.mkdir(parents=True)
        names = {suffix: path.stem + suffix for suffix in trials.tracks}
        finished = []
        for suffix, track in trials.tracks.items():
            folder = TrialFolder(temporary / names[suffix], times)
            if track is not None:
                folder.write_track(track)
                folder.write_faces(of_faces, _crops(recording, faces, names[suffix], track), track.observed)
            for extractor in of_sound:
                assert sound is not None
                folder.write(extractor, extractor.extract(sound, times))
                folder.write_mask(extractor.name, extractor.observed(sound, times))
            for words in of_words:
                folder.write(words, words.extract(path.stem, times))
            if suffix in labels:
                rows, note = match_rows(labels[suffix], len(times), f'annotation of {names[suffix]}')
                folder.write_labels(rows)
                notes += [note] if note else []
            trial = FinishedTrial(
                VideoInfo(names[suffix], partition, len(times), _mean_rate(times), suffix in labels),
                frozenset(folder.masked),
                path.stem,
                tuple(names.values()),
                path.stat().st_size,
                digest(labels[suffix]) if suffix in labels else None,
            )
            trial.write(folder.folder)
            finished.append(trial)
        for name in names.values():
            _make_room(out / name, path.stem)
            (temporary / name).rename(out / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    seen = {
        names[s]: (int(track.found.sum()), int(track.filled.sum()))
        for s, track in trials.tracks.items()
        if track is not None
    }
    notes = [*recording.notes, *(sound.notes_for(times) if sound else ()), *notes]
    if isinstance(faces, CropFolder):  # otherwise the notes of the recording tell
        notes += [f'{name}: no face in any frame' for name, (count, _) in seen.items() if not count]
    return ExtractionReport(path.stem, tuple(finished), seen, float(times[-1] - times[0]), tuple(notes))


def _check_whole(
    recording: Recording, labels: Mapping[str, NDArray], faces: FaceDetector | CropFolder | None
) -> None:
    """Refuse a video with frames missing where something is given by the numbers of frames."""
    given = ['annotation'] if labels else []
    if isinstance(faces, CropFolder):
        given.append(OFFICIAL)
    if recording.damaged and given:
        raise DataError(
            f'{recording.path}: {recording.damaged} damaged packets cannot be decoded, so that rows of the '
            f'{" and ".join(given)} can no longer be told to frames; take a whole copy of the video'
        )


def _make_room(folder: Path, video: str) -> None:
    """Remove what an earlier try left of a trial, when another person of the video was still missing."""
    if not folder.exists():
        return
    there = FinishedTrial.read(folder).video
    if there != video:
        raise DataError(f'{folder}: is a trial of video {there!r}; rename one of {there!r} and {video!r}')
    shutil.rmtree(folder)


def _crops(recording: Recording, faces: Any, name: str, track: Any) -> Any:
    """Index and aligned face of every frame."""
    if isinstance(faces, CropFolder):
        return faces.crops(name, len(track.times))
    return crops(recording, track)


def _mean_rate(times: NDArray[np.float64]) -> float | None:
    """Frames per second over the whole video."""
    span = float(times[-1] - times[0])
    return (len(times) - 1) / span if span > 0 else None
