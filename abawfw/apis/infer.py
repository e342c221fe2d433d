"""Files of curves: what tools/infer.py writes of a video or a store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from abawfw.apis.inferencer import VAInferencer
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import plain_name
from abawfw.errors import DataError
from abawfw.features.source_videos import not_creatable
from abawfw.files import write_text
from abawfw.visualization.va_picture import Thumbnail, draw_curves, thumbnail_rows

if TYPE_CHECKING:
    from abawfw.features.face_track import FaceTrack
    from abawfw.features.sound_stream import SoundStream

LONGER = 28
"""Bytes by which the name of a file is longer while it is written."""


@dataclass(frozen=True)
class Inferred:
    """What was written of one video.

    Attributes:
        video: its name.
        table: as ``VAInferencer`` gives it.
        files: ``VIDEO.va.json``, ``VIDEO.va.csv``, ``VIDEO.va.png`` and maybe ``VIDEO.va.mp4``.
        notes: what was missing, repaired or taken for granted, a line each.
    """

    video: str
    table: pd.DataFrame
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def infer_video(
    inferencer: VAInferencer,
    video: Path,
    out: Path,
    overlay: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Inferred:
    """Extract, predict, and write the files of one video.

    Args:
        inferencer: of the run.
        video: the file.
        out: folder, made if needed.
        overlay: also write the annotated video.
        options: see ``VAInferencer.predict_video``.
        progress: called now and then with the share of the extraction that is done.

    Raises:
        DataError: the folder cannot be written; others as ``VAInferencer.predict_video``.
    """
    from abawfw.features.recording import Recording

    check_writable(out)
    _check_names([video.stem], video, out)
    sound, silent = _sound_of(video) if overlay else (None, [])
    found = inferencer.predict_video(video, options=options, progress=progress)
    thumbnails = [] if found.track is None else _thumbnails_of_video(video, found.track)
    files = _write(inferencer, video.stem, found.table, out, thumbnails, found.notes)
    notes = list(found.notes)
    if overlay:
        from abawfw.visualization.overlay import write_overlay

        path = out / f'{video.stem}.va.mp4'
        boxes = None if found.track is None else found.track.boxes
        more = write_overlay(path, Recording(video).frames(), found.table, boxes, sound)
        notes += [note for note in (*silent, *more) if note not in notes]
        files.append(path)
    return Inferred(video.stem, found.table, tuple(files), tuple(notes))


def infer_store(inferencer: VAInferencer, store: Path, out: Path) -> list[Inferred]:
    """Predict and write the files of all videos of a store.

    Faces come from a feature of the store that holds pictures, if it has one.

    Raises:
        DataError: the folder cannot be written; others as ``VAInferencer.predict_store``.
    """
    check_writable(out)
    opened = open_store(store)
    _check_names([video.video_id for video in opened.videos()], store, out)
    told = tuple(inferencer.notes_on(opened))
    tables = inferencer.predict_store(opened)
    pictures = [
        n for n, i in opened.features().items() if i.dtype == 'uint8' and len(i.dims) == 3 and i.dims[2] == 3
    ]
    done = []
    for name, table in tables.items():
        thumbnails = _thumbnails_of_store(opened, name, pictures[0]) if pictures else []
        notes = told
        if table.index.isna().any():
            notes += ('the store does not tell the times of frames',)
        files = _write(inferencer, name, table, out, thumbnails, notes)
        done.append(Inferred(name, table, tuple(files), notes))
    return done


def check_writable(folder: Path) -> None:
    """Find out before hours of work whether a folder can be written; it is made if it is not there.

    Raises:
        DataError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f'{folder}: cannot be written ({error.strerror}); choose another folder with --out'
        ) from error


def _sound_of(video: Path) -> tuple[SoundStream | None, list[str]]:
    """The sound for an annotated video; or a note on why it has none."""
    from abawfw.features.sound_stream import SoundStream

    try:
        return SoundStream(video), []
    except DataError as error:
        return None, [f'the annotated video has no sound: {error}']


def _check_names(names: Iterable[str], where: Path, out: Path) -> None:
    """Refuse names of which no files can be made in a folder: DataError with a line for each."""
    problems = []
    for name in names:
        longest = f'.{plain_name(name, where)}.va.json.{"0" * LONGER}'
        problems += [problem] if (problem := not_creatable(out, name, longest)) else []
    if problems:
        raise DataError('\n  '.join(problems))


def _write(
    inferencer: VAInferencer,
    name: str,
    table: pd.DataFrame,
    out: Path,
    thumbnails: list[Thumbnail],
    notes: tuple[str, ...],
) -> list[Path]:
    json_path, csv_path, png_path = (out / f'{name}.va.{kind}' for kind in ('json', 'csv', 'png'))
    write_text(json_path, _to_json(inferencer, name, table, notes))
    write_text(csv_path, table.to_csv())
    draw_curves(png_path, table, name, thumbnails)
    return [json_path, csv_path, png_path]


def _to_json(inferencer: VAInferencer, name: str, table: pd.DataFrame, notes: tuple[str, ...]) -> str:
    """One line per frame within the list ``frames``; null where something is not known."""
    head = {
        'video': name,
        'run': inferencer.run.name,
        'checkpoints': {target: path.name for target, path in inferencer.checkpoints.items()},
        'postprocess': {target: steps.texts() for target, steps in inferencer.postprocess.items()},
        'notes': list(notes),
    }
    rows = table.reset_index()[['frame', 'time', *(c for c in table.columns if c != 'frame')]]
    values = rows.astype(object).where(rows.notna(), None)
    frames = [json.dumps(frame, allow_nan=False) for frame in values.to_dict('records')]
    return json.dumps(head, indent=1)[:-2] + ',\n "frames": [\n' + ',\n'.join(frames) + '\n]\n}\n'


def _thumbnails_of_video(video: Path, track: FaceTrack) -> list[Thumbnail]:
    """Faces spread over a video, which is read once more for them."""
    from abawfw.features.face_track import crops
    from abawfw.features.recording import Recording

    rows = thumbnail_rows(track.found)
    if not rows:
        return []
    shown = np.zeros_like(track.found)
    shown[rows] = True
    few = replace(track, found=shown, filled=np.zeros_like(shown))
    return [Thumbnail(i, rgb) for i, rgb in crops(Recording(video), few) if shown[i]]


def _thumbnails_of_store(store: FeatureStore, video_id: str, feature: str) -> list[Thumbnail]:
    num_frames = store.video(video_id).num_frames
    rows = thumbnail_rows(store.valid(video_id, feature, 0, num_frames))
    return [Thumbnail(row, store.read(video_id, feature, row, row + 1)[0]) for row in rows]
