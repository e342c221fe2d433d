"""One video to the folders of its trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import FRAMES_APART, NO_LABEL
from abawfw.datasets.stores.checks import not_finite
from abawfw.datasets.stores.labels import unlabelled_frames
from abawfw.datasets.stores.npy_file import NpyWriter, naming, write_rows
from abawfw.datasets.stores.records import FeatureInfo, VideoInfo
from abawfw.datasets.stores.trials.files import LABELS, MASK, TIMES, TRACK
from abawfw.errors import DataError, counted
from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors.base import AudioExtractor, Extractor, FaceExtractor, TranscriptExtractor
from abawfw.extraction.faces.detectors.base import OFFICIAL, FaceDetector
from abawfw.extraction.faces.track import FaceTrack, crops
from abawfw.extraction.faces.trial_faces import CropFolder, find_trials
from abawfw.extraction.pipeline.feature_store import FinishedTrial, label_digest, source_digests
from abawfw.extraction.speech import SpeechRule, notes_on
from abawfw.extraction.video.recording import Frame, Recording
from abawfw.files import Replacement


@dataclass(frozen=True)
class ExtractionReport:
    """What was made of a video.

    Attributes:
        video: its name.
        trials: one per person.
        faces: by trial, the frames in which a face was found, and those in which it was not and is held over
            a short gap; {} where no face was looked for.
        seconds: from the first frame to the last.
        notes: what was missing, repaired or assumed, a line each.
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
    persons: int | str = 1,
    partition: str = 'test',
    progress: Callable[[float], None] | None = None,
    speech: SpeechRule | None = None,
) -> ExtractionReport:
    """Write one folder per person of a video, a trial in the layout of `TrialStore`.

    Frame i is the i-th image decoded, at the time at which it is shown. In a trial's folder: an array per
    feature, ``FEATURE_valid.npy`` where not every frame could be observed, ``frame_times.npy``,
    ``face_track.npz`` where faces were looked for, labels if there are any, and ``trial.json``. A folder
    gets its name when all of them are whole.

    Args:
        path: the video; its name without ending is that of the trial.
        extractors: what to extract.
        faces: finds the faces, or has official crops; may be None without an extractor of faces.
        out: folder of the trials.
        labels: (rows, 2), NaN where there is none, by ``''``, ``'_left'`` or ``'_right'``, for the persons
            that are annotated; only these get a trial then.
        persons: how many get a trial if none is annotated, or 'all'; see `find_faces`.
        partition: of the trials.
        progress: called now and then with the fraction that is done.
        speech: says in which frames the audio is observed for whom; without it that is all of it.

    Raises:
        DataError: the video cannot be read, an annotation does not fit, an extractor fails, or frames are
            missing and there are annotations or official crops, which refer to frames by number.
        OSError: the disk is full or cannot be written.
    """
    path, out, labels = Path(path), Path(out), labels or {}
    of_faces = [e for e in extractors if isinstance(e, FaceExtractor)]
    views = list(dict.fromkeys(e.view for e in of_faces))
    of_audio = [e for e in extractors if isinstance(e, AudioExtractor)]
    of_transcripts = [e for e in extractors if isinstance(e, TranscriptExtractor)]
    if of_faces and faces is None:
        raise DataError(f'{path}: face features need a face detector or a folder of crops')
    speech = speech if of_audio and of_faces and isinstance(faces, FaceDetector) else None
    recording = WatchedRecording(path, progress, 1 + bool(views))
    audio = Audio(path) if of_audio else None  # opened before the long work, decoded after it
    source = faces if of_faces else None
    trials = find_trials(recording, source, labels, persons, others=speech is not None)
    _check_whole(recording, labels, source)
    times, notes = trials.times, list(trials.notes)
    names = {suffix: path.stem + suffix for suffix in trials.tracks}
    finished = []
    with ExitStack() as stack:
        folders = {
            suffix: TrialFolder(stack.enter_context(Replacement(out / name, folder=True)), times)
            for suffix, name in names.items()
        }
        people = {suffix: track for suffix, track in trials.tracks.items() if track is not None}
        for suffix, track in people.items():
            folders[suffix].write_track(track)
        if people and of_faces:
            _write_faces(recording, faces, of_faces, people, names, folders)
        if audio is not None:
            heard = np.ones((len(folders), len(times)), np.bool_)
            if speech is not None:
                tracks = [*people.values(), *trials.others]
                heard = speech.owners(recording, audio, tracks)[: len(folders)]
                notes += notes_on(list(names.values()), heard)
            _write_audio(of_audio, audio, list(zip(folders.values(), heard, strict=True)), times)
        for suffix, folder in folders.items():
            for words in of_transcripts:
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
                label_digest(labels[suffix]) if suffix in labels else None,
                source_digests(path, names[suffix], source, of_transcripts),
            )
            trial.write(folder.folder)
            finished.append(trial)
        for name in names.values():
            _check_name(out / name, path.stem)
    seen = {names[s]: (int(track.found.sum()), int(track.filled.sum())) for s, track in people.items()}
    notes = [*recording.notes, *(audio.notes_for(times) if audio else ()), *notes]
    if isinstance(faces, CropFolder):  # otherwise the notes of the recording say so
        notes += [f'{name}: no face in any frame' for name, (count, _) in seen.items() if not count]
    return ExtractionReport(path.stem, tuple(finished), seen, float(times[-1] - times[0]), tuple(notes))


def _write_faces(
    recording: Recording,
    faces: FaceDetector | CropFolder | None,
    extractors: Sequence[FaceExtractor],
    people: Mapping[str, FaceTrack],
    names: Mapping[str, str],
    folders: Mapping[str, TrialFolder],
) -> None:
    """Features of the faces of all persons, in one pass over the video; zeros where one is not observed.

    Raises:
        DataError: an extractor gives NaN or rows of another shape, or the video changed since it was read.
    """
    views = list(dict.fromkeys(e.view for e in extractors))
    cuts = [(suffix, view) for suffix in people for view in views]
    frames: Iterator[Sequence[NDArray[np.uint8]]]
    if isinstance(faces, CropFolder):
        files = [faces.crops(names[suffix], len(people[suffix].times), view.size) for suffix, view in cuts]
        frames = ([image for _, image in pairs] for pairs in zip(*files, strict=True))
    else:
        frames = crops(recording, [(people[suffix], view) for suffix, view in cuts])
    with ExitStack() as stack:
        outs = []
        for suffix, view in cuts:
            folder = folders[suffix]
            mine = [(e, stack.enter_context(folder.writer(e))) for e in extractors if e.view == view]
            outs.append((folder, people[suffix].observed, mine))
        for start, batch in _batches(frames):
            for (folder, observed, mine), images in zip(outs, zip(*batch, strict=True), strict=True):
                seen = np.flatnonzero(observed[start : start + len(images)])
                for extractor, out in mine:
                    rows = np.zeros((len(images), *extractor.dims), extractor.dtype)
                    if len(seen):
                        found = extractor.extract(np.stack([images[k] for k in seen]))
                        rows[seen] = folder.check_rows(extractor, found, start + seen)
                    out.write(rows)
    for folder, observed, mine in outs:
        for extractor, _ in mine:
            folder.write_mask(extractor.name, observed)


def _batches(
    frames: Iterable[Sequence[NDArray[np.uint8]]],
) -> Iterator[tuple[int, list[Sequence[NDArray[np.uint8]]]]]:
    """Index of the first frame, and the images of up to `BATCH` frames."""
    batch: list[Sequence[NDArray[np.uint8]]] = []
    start = 0
    for images in frames:
        batch.append(images)
        if len(batch) == BATCH:
            yield start, batch
            start, batch = start + BATCH, []
    if batch:
        yield start, batch


def _write_audio(
    extractors: Sequence[AudioExtractor],
    audio: Audio,
    folders: Sequence[tuple[TrialFolder, NDArray[np.bool_]]],
    times: NDArray[np.float64],
) -> None:
    """Features of audio, made once for all persons; zeros in the frames in which it is not a person's."""
    for extractor in extractors:
        with ExitStack() as stack:
            outs = [(stack.enter_context(f.writer(extractor)), heard) for f, heard in folders]
            done = 0
            for piece in extractor.extract(audio, times):
                start, done = done, done + len(piece)
                if done > len(times):
                    break  # refused below
                folders[0][0].check_rows(extractor, piece, np.arange(start, done))
                for out, heard in outs:
                    mine = piece.copy()
                    mine[~heard[start:done]] = 0
                    out.write(mine)
        observed = extractor.observed(audio, times)
        for folder, heard in folders:
            folder.check_count(extractor, done)
            folder.write_mask(extractor.name, observed & heard)


def _check_whole(
    recording: Recording, labels: Mapping[str, NDArray], faces: FaceDetector | CropFolder | None
) -> None:
    """Refuse a video with frames missing where something is given by the numbers of frames."""
    given = ['annotation'] * bool(labels) + [OFFICIAL] * isinstance(faces, CropFolder)
    if recording.damaged and given:
        raise DataError(
            f'{recording.path}: {recording.damaged} damaged packets cannot be decoded, so rows of the '
            f'{" and ".join(given)} can no longer be assigned to frames; use an undamaged copy of the video'
        )


def _check_name(folder: Path, video: str) -> None:
    """Refuse to replace a trial of another video; one of this video is from a try that was not finished."""
    if folder.exists() and (there := FinishedTrial.read(folder).video) != video:
        raise DataError(f'{folder}: is a trial of video {there!r}; rename one of {there!r} and {video!r}')


def _mean_rate(times: NDArray[np.float64]) -> float | None:
    """Frames per second over the whole video."""
    span = float(times[-1] - times[0])
    return (len(times) - 1) / span if span > 0 else None


def match_rows(labels: NDArray, num_frames: int, what: str) -> tuple[NDArray[np.float32], str | None]:
    """Give each frame the row of its number.

    No row ever moves: rows beyond the last frame are omitted, and last frames without a row have no label.

    Args:
        labels: (rows, 2), NaN where there is no valid label; row k belongs to frame k.
        num_frames: frames of the video.
        what: named in messages.

    Returns:
        (num_frames, 2) float32, and what was done about another number of rows, None if nothing.

    Raises:
        DataError: more than `FRAMES_APART` rows too many or too few.
    """
    difference = len(labels) - num_frames
    lengths = f'{what}: {len(labels)} rows for {num_frames} frames'
    if abs(difference) > FRAMES_APART:
        raise DataError(
            f'{lengths}, more than {FRAMES_APART} apart; is it the annotation of this video, '
            'and is the video whole? One that is re-encoded must keep every frame: '
            'ffmpeg -i OLD -fps_mode passthrough NEW.mp4'
        )
    rows = np.full((num_frames, 2), np.nan, np.float32)
    rows[: len(labels)] = labels[:num_frames]
    if not difference:
        return rows, None
    if difference > 0:
        return rows, f'{lengths}: the last {difference} omitted'
    return rows, f'{lengths}: no label for the last {counted(-difference, "frame")}'


class WatchedRecording(Recording):
    """A recording that reports how much of it has been read.

    Args:
        path: the file.
        progress: called with the fraction that is done; may be None.
        passes: times it is going to be read.
    """

    def __init__(self, path: str | Path, progress: Callable[[float], None] | None, passes: int) -> None:
        super().__init__(path)
        self._progress = progress
        self.passes = passes
        self._read = 0

    def frames(self) -> Iterator[Frame]:
        """See `Recording.frames`."""
        stated = self.stated
        for frame in super().frames():
            yield frame
            self._read += 1
            if self._progress is not None and stated:
                self._progress(min(self._read / (stated * self.passes), 1.0))


BATCH = 64
"""Faces of a person that an extractor gets at once: 2.4 MB of images."""


class TrialFolder:
    """A folder of arrays, one row per frame.

    Args:
        folder: to make.
        times: (frames,) seconds at which each frame is shown.

    Attributes:
        masked: features of which some frames were not observed.
    """

    def __init__(self, folder: Path, times: NDArray[np.float64]) -> None:
        self.folder = folder
        self.masked: set[str] = set()
        self._num_frames = len(times)
        folder.mkdir()
        write_rows(folder / f'{TIMES}.npy', times, FeatureInfo((), 'float64'), TIMES)

    def write_labels(self, labels: NDArray[np.float32]) -> None:
        """Write labels, (frames, 2), NaN where there is none."""
        columns = labels.copy()
        columns[unlabelled_frames(columns)] = NO_LABEL
        write_rows(self.folder / f'{LABELS}.npy', columns, FeatureInfo((2,), 'float32'), 'labels')

    def write_track(self, track: FaceTrack) -> None:
        """Write where the face is and how sure that is."""
        arrays = {name: getattr(track, name) for name in ('boxes', 'points', 'scores', 'found', 'filled')}
        path = self.folder / TRACK
        with naming(path), path.open('wb') as file:
            np.savez(file, allow_pickle=False, **arrays)

    def write(self, extractor: Extractor, rows: Iterable[NDArray]) -> None:
        """Write a feature piece by piece, (k, *dims) each.

        Raises:
            DataError: the pieces hold NaN, have another shape, or do not sum to the number of frames.
        """
        with self.writer(extractor) as out:
            for piece in rows:
                out.write(self.check_rows(extractor, piece, out.rows + np.arange(len(piece))))
        self.check_count(extractor, out.rows)

    def write_mask(self, feature: str, observed: NDArray[np.bool_]) -> None:
        """Write where a feature was observed, (frames,), unless that is everywhere."""
        if not observed.all():
            self.masked.add(feature)
            info = FeatureInfo((), 'bool')
            write_rows(self.folder / f'{feature}{MASK}.npy', observed, info, f'mask of {feature}')

    def writer(self, extractor: Extractor) -> NpyWriter:
        """What writes the rows of a feature."""
        return NpyWriter(self.folder / f'{extractor.name}.npy', (None, *extractor.dims), extractor.dtype)

    def check_rows(self, extractor: Extractor, rows: NDArray, frames: NDArray) -> NDArray:
        """Rows of frames, if they can be stored; see `write` for errors."""
        expected = (len(frames), *extractor.dims)
        if rows.shape != expected or rows.dtype != extractor.dtype:
            raise DataError(
                f'{extractor.name}: gave {rows.dtype} of shape {rows.shape} for {len(frames)} frames, '
                f'expected {extractor.dtype} of {expected}: a fault of this extractor'
            )
        bad = not_finite(rows)
        if bad.any():
            raise DataError(
                f'{extractor.name}: NaN or infinite in {int(bad.sum())} of {len(bad)} rows, first in frame '
                f'{int(frames[bad.argmax()])}; omit this feature, or this video'
            )
        return rows

    def check_count(self, extractor: Extractor, rows: int) -> None:
        """Refuse more or fewer rows than frames: DataError."""
        if rows != self._num_frames:
            raise DataError(
                f'{extractor.name}: {rows} rows for {self._num_frames} frames; is the file in use?'
            )
