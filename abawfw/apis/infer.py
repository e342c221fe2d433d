"""Files of curves: what tools/infer.py writes of a video or a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from abawfw.apis.face_frames import track_of
from abawfw.apis.inferencer import VAInferencer
from abawfw.apis.network import NetworkInferencer
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import plain_name
from abawfw.datasets.stores.kinds import find_store_kind, store_kinds
from abawfw.datasets.stores.npy_file import naming
from abawfw.errors import AbawfwError, ConfigError, DataError, Interrupted, few
from abawfw.extraction.video.source_videos import not_creatable
from abawfw.files import check_folder, write_text
from abawfw.groups import session_of
from abawfw.visualization.va_figure import Thumbnail, draw_curves, thumbnail_rows

if TYPE_CHECKING:
    from abawfw.extraction.audio.audio_stream import AudioStream
    from abawfw.extraction.faces.track import FaceTrack

LONGER = 28
"""Bytes by which the name of a file is longer while it is written."""


@dataclass(frozen=True)
class Inferred:
    """What was written of one video.

    Attributes:
        video: its name.
        table: as ``VAInferencer`` gives it; where several persons are looked for, their tables one below the
            other, with a column ``person``.
        files: ``VIDEO.va.json``, ``VIDEO.va.csv``, ``VIDEO.va.png`` (of each of several persons
            ``VIDEO_PERSON.va.png``) and maybe ``VIDEO.va.mp4``.
        notes: what was missing, repaired or taken for granted, a line each.
        held: frames in which no face was found, but shortly before and after, by person; None where no track
            of the face is at hand.
    """

    video: str
    table: pd.DataFrame
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    held: dict[str, int] | None = None


@dataclass(frozen=True)
class Inference:
    """What came of many videos: what was written of each, and why there is nothing of the others, by name."""

    done: tuple[Inferred, ...]
    failed: dict[str, str]


@dataclass(frozen=True)
class Source:
    """A video file, or a store, which is open."""

    path: Path
    store: FeatureStore | None = None

    @property
    def names(self) -> list[str]:
        """Of the videos in it; files are called so."""
        if self.store is None:
            return [self.path.stem]
        return [video.video_id for video in self.store.videos()]


def infer_video(
    inferencer: VAInferencer | NetworkInferencer,
    video: Path,
    out: Path,
    overlay: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Callable[[float], None] | None = None,
    persons: int | str = 1,
) -> Inferred:
    """Extract, predict, and write the files of one video.

    Args:
        inferencer: of the run or network.
        video: the file.
        out: folder, made if needed.
        overlay: also write the annotated video.
        options: see ``VAInferencer.predict_video``.
        progress: called now and then with the fraction of the extraction that is done.
        persons: 1 for the one seen largest and longest, or how many, or 'all'; see ``predict_persons``.

    Raises:
        DataError: the folder cannot be written; others as ``VAInferencer.predict_video``.
    """
    from abawfw.extraction.video.recording import Recording

    check_folder(out, 'choose another folder with --out')
    _check_name(video.stem if persons == 1 else f'{video.stem}_person99', video, out)
    audio, silent = _audio_of(video) if overlay else (None, [])
    if persons == 1:
        people = {'': inferencer.predict_video(video, options=options, progress=progress)}
    else:
        found = inferencer.predict_persons(video, persons, options=options, progress=progress)
        people = {one.person or 'person1': one for one in found}
    tracks = {person: one.track for person, one in people.items() if one.track is not None}
    thumbnails = _thumbnails_of_video(video, tracks)
    pictures = {
        f'{video.stem}_{person}' if person else video.stem: (one.table, thumbnails.get(person, []))
        for person, one in people.items()
    }
    tables = {person: one.table for person, one in people.items()}
    table = tables[''] if '' in tables else pd.concat([t.assign(person=p) for p, t in tables.items()])
    notes = list(dict.fromkeys(note for one in people.values() for note in one.notes))
    files = _write(inferencer, video.stem, table, out, pictures, tuple(notes))
    if overlay:
        from abawfw.visualization.overlay import write_overlay

        path = out / f'{video.stem}.va.mp4'
        boxes = {person: track.boxes for person, track in tracks.items()}
        more = write_overlay(
            path,
            Recording(video).frames(),
            tables.get('', tables),
            boxes.get('') if '' in tables else boxes,
            audio,
        )
        notes += [note for note in (*silent, *more) if note not in notes]
        files.append(path)
    notes += _earlier(out, video.stem, files)
    held = {person: int(track.filled.sum()) for person, track in tracks.items()} or None
    return Inferred(video.stem, table, tuple(files), tuple(notes), held)


def infer_store(
    inferencer: VAInferencer,
    store: FeatureStore,
    out: Path,
    tell: Callable[[Inferred], None] = lambda _: None,
) -> Inference:
    """Predict and write the files of all videos of a store of which something was observed.

    Faces come from a feature of the store that holds images, if it has one.

    Args:
        inferencer: of the run.
        store: the videos.
        out: folder, made if needed.
        tell: called with every video whose files are written.

    Raises:
        DataError: the folder cannot be written; others as ``VAInferencer.predict_store``.
    """
    check_folder(out, 'choose another folder with --out')
    of_store = tuple(inferencer.notes_on(store))
    found, failed = dict[str, list[str]](), dict[str, str]()
    for video in store.videos():
        try:
            _check_name(video.video_id, store.root, out)
            found[video.video_id] = inferencer.check_video(store, video.video_id)
        except DataError as error:
            failed[video.video_id] = str(error)
    tables = inferencer.predict_store(store, skip=failed) if found else {}
    images = [
        n for n, i in store.features().items() if i.dtype == 'uint8' and len(i.dims) == 3 and i.dims[2] == 3
    ]
    done = []
    for name, table in tables.items():
        thumbnails = _thumbnails_of_store(store, name, images[0]) if images else []
        notes = (*of_store, *found[name])
        if table.index.isna().any():
            notes += ('the times of frames are unknown: the store has none',)
        files = _write(inferencer, name, table, out, {name: (table, thumbnails)}, notes)
        track = track_of(store, name)
        held = None if track is None else {'': int(track[1].sum())}
        done.append(Inferred(name, table, tuple(files), (*notes, *_earlier(out, name, files)), held))
        tell(done[-1])
    return Inference(tuple(done), failed)


def infer(
    inferencer: VAInferencer | NetworkInferencer,
    sources: Sequence[Source],
    out: Path,
    *,
    overlay: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    persons: int | str = 1,
    tell: Callable[[Inferred | str], None] = lambda _: None,
    progress: Callable[[Source, float], None] = lambda *_: None,
) -> Inference:
    """Predict and write the files of videos and stores, one after the other.

    Of several, one that fails does not keep the others from it.

    Args:
        inferencer: of the run or network.
        sources: see `find_sources`.
        out: folder, made if needed.
        overlay: also write annotated videos.
        options: see ``VAInferencer.predict_video``.
        persons: see `infer_video`.
        tell: called with every video whose files are written, and with the name of one that failed.
        progress: called now and then with a video and the fraction of its extraction that is done.

    Raises:
        ConfigError: of a store, an annotated video is asked for, or anything by a network.
        DataError, CheckpointError: of the only video; see `infer_video`.
        Interrupted: by Ctrl-C; files that are written stay.
    """
    of_videos = overlay or options or persons != 1
    if stores := [source for source in sources if source.store is not None and of_videos]:
        raise ConfigError(
            f'{stores[0].path}: is a store, which holds features only; --overlay, --cfg-options and '
            '--persons need a video'
        )
    names = {source.path.stem for source in sources} if persons != 1 else set()
    if twice := sorted(name for name in names if session_of(name) in names - {name}):
        raise DataError(
            f'{twice[0]}: another video is called {session_of(twice[0])!r}, one of whose persons '
            'would have files of this name; rename one, or give them apart with another --out'
        )
    of_run = inferencer if isinstance(inferencer, VAInferencer) else None
    if stores := [source for source in sources if source.store is not None and of_run is None]:
        raise ConfigError(f'{stores[0].path}: is a store, which holds features only; a network needs a video')
    check_folder(out, 'choose another folder with --out')
    done, failed = list[Inferred](), dict[str, str]()

    def finish(video: Inferred) -> None:
        done.append(video)
        tell(video)

    for number, source in enumerate(sources):
        name = source.path.stem
        try:
            if source.store is not None and of_run is not None:
                name = str(source.path)
                failed |= infer_store(of_run, source.store, out, finish).failed
            else:
                step = partial(progress, source)
                finish(infer_video(inferencer, source.path, out, overlay, options, step, persons))
        except (AbawfwError, OSError, MemoryError) as error:
            lacking = isinstance(error, MemoryError)
            if len(sources) == 1:
                raise (DataError(f'{source.path}: not enough memory') if lacking else error) from None
            failed[name] = 'not enough memory' if lacking else str(error)
            tell(name)
        except KeyboardInterrupt:
            rest = [str(other.path) for other in sources[number:]]
            raise Interrupted(
                f'{out}: interrupted; the files of {len(done)} videos are whole and stay. To go on give what '
                f'is missing: {few(rest, between=" ")}'
            ) from None
    return Inference(tuple(done), failed)


def find_sources(paths: Sequence[Path]) -> tuple[list[Source], list[str], dict[str, str]]:
    """What lies at these places: videos, folders of videos, and stores.

    Returns:
        One entry per video and per store, in the order given; what of folders is not used, a line each; and
        the names of videos in folders that cannot be used, with the reason.

    Raises:
        DataError: there is nothing, or neither a video nor a store in a folder; or two videos of one name,
            whose files would replace one another.
    """
    from abawfw.extraction.video.source_videos import find_videos

    sources, notes, refused = list[Source](), list[str](), dict[str, str]()
    for path in paths:
        if not path.exists():
            raise DataError(f'{path}: no such video, folder of videos or store')
        if not path.is_dir():
            sources.append(Source(path))
            continue
        try:
            kind = find_store_kind(path)
        except DataError:
            try:
                folder = find_videos(path)
            except DataError as error:
                kinds = ', '.join(store_kinds())
                raise DataError(f'{error}; and it is no store of a known kind ({kinds})') from None
            sources += [Source(video.path) for video in folder.videos]
            notes += folder.notes
            refused |= folder.refused
        else:
            sources.append(Source(path, kind(path)))
    seen: dict[str, Path] = {}
    for source in sources:
        for name in source.names:
            if name in seen:
                raise DataError(
                    f'{seen[name]} and {source.path}: both have a video {name!r}, and the files of one would '
                    'replace those of the other; rename one, or give them apart with another --out'
                )
            seen[name] = source.path
    return sources, notes, refused


def _audio_of(video: Path) -> tuple[AudioStream | None, list[str]]:
    """The audio for an annotated video; or a note on why it has none."""
    from abawfw.extraction.audio.audio_stream import AudioStream

    try:
        return AudioStream(video), []
    except DataError as error:
        return None, [f'the annotated video has no audio: {error}']


def _check_name(name: str, where: Path, out: Path) -> None:
    """Refuse a name of which no files can be made in a folder: DataError."""
    if problem := not_creatable(out, name, f'.{plain_name(name, where)}.va.json.{"0" * LONGER}'):
        raise DataError(problem)


def _write(
    inferencer: VAInferencer | NetworkInferencer,
    name: str,
    table: pd.DataFrame,
    out: Path,
    pictures: Mapping[str, tuple[pd.DataFrame, list[Thumbnail]]],
    notes: tuple[str, ...],
) -> list[Path]:
    levels = {
        target: f'{target}, {kept.found.level} of frames' for target, kept in inferencer.intervals.items()
    }
    json_path, csv_path = (out / f'{name}.va.{kind}' for kind in ('json', 'csv'))
    writers: dict[Path, Callable[[], Any]] = {
        json_path: lambda: write_text(json_path, _to_json(inferencer, name, table, notes)),
        csv_path: lambda: write_text(csv_path, table.to_csv()),
    }
    for title, (of_one, thumbnails) in pictures.items():
        png_path = out / f'{title}.va.png'
        writers[png_path] = partial(draw_curves, png_path, of_one, title, thumbnails, levels)
    for path, write in writers.items():
        try:
            with naming(path):
                write()
        except MemoryError as error:
            raise DataError(f'{path}: not enough memory to make it') from error
    return list(writers)


def _earlier(out: Path, video: str, files: Sequence[Path]) -> list[str]:
    """A note on files of this video that an earlier call has left; another video has its own JSON file."""
    names = []
    for path in sorted(set(out.glob('*.va.*')) - {*files}):
        name = path.name.rpartition('.va.')[0]
        if name == video or (session_of(name) == video and not (out / f'{name}.va.json').is_file()):
            names.append(path.name)
    return [f'of an earlier call, and not of this one: {", ".join(names)} in {out}'] if names else []


def _to_json(
    inferencer: VAInferencer | NetworkInferencer, name: str, table: pd.DataFrame, notes: tuple[str, ...]
) -> str:
    """One line per frame within the list ``frames``; null where something is not known."""
    head = {'video': name, **inferencer.head(), 'notes': list(notes)}
    rows = table.reset_index()[['frame', 'time', *(c for c in table.columns if c != 'frame')]]
    values = rows.astype(object).where(rows.notna(), None)
    frames = [json.dumps(frame, allow_nan=False) for frame in values.to_dict('records')]
    return json.dumps(head, indent=1)[:-2] + ',\n "frames": [\n' + ',\n'.join(frames) + '\n]\n}\n'


def _thumbnails_of_video(video: Path, tracks: Mapping[str, FaceTrack]) -> dict[str, list[Thumbnail]]:
    """By person, faces spread over a video, which is read once more for all of them."""
    from abawfw.extraction.faces.track import FaceView, crops
    from abawfw.extraction.video.recording import Recording

    few = {}
    for person, track in tracks.items():
        if rows := thumbnail_rows(track.found):
            shown = np.zeros_like(track.found)
            shown[rows] = True
            few[person] = replace(track, found=shown, filled=np.zeros_like(shown))
    found: dict[str, list[Thumbnail]] = {person: [] for person in few}
    cuts = [(track, FaceView()) for track in few.values()]
    for index, faces in enumerate(crops(Recording(video), cuts) if cuts else ()):
        for (person, track), face in zip(few.items(), faces, strict=True):
            if track.found[index]:
                found[person].append(Thumbnail(index, face))
    return found


def _thumbnails_of_store(store: FeatureStore, video_id: str, feature: str) -> list[Thumbnail]:
    num_frames = store.video(video_id).num_frames
    rows = thumbnail_rows(store.observed(video_id, feature, 0, num_frames))
    return [Thumbnail(row, store.read(video_id, feature, row, row + 1)[0]) for row in rows]
