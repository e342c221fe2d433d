"""Aff-Wild2's annotation folder and per-frame feature files, to the HDF5 layout of RUCAIM3."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import FRAMES_APART
from abawfw.datasets.importers.affwild2_files import (
    find_annotations,
    read_annotation,
    read_fps,
    read_test_list,
    unused_annotations,
)
from abawfw.datasets.importers.feature_folder import FeatureFolder, FeatureRows, not_taken
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import DataError, counted


class AffWild2Report(NamedTuple):
    """What an import did.

    Attributes:
        videos: names by partition.
        repairs: what was added or cut, a line each.
        notes: what was read in another way than as it stands in the files, a line each.
        not_taken: what lies there and was not imported, a line each.
    """

    videos: dict[str, tuple[str, ...]]
    repairs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()


class _Source(NamedTuple):
    video_id: str
    partition: str
    annotation: Path | None


def convert_affwild2(
    annotations: str | os.PathLike[str],
    root: str | os.PathLike[str],
    features: Mapping[str, str | os.PathLike[str]],
    test_list: str | os.PathLike[str] | None = None,
    fps: str | os.PathLike[str] | None = None,
) -> AffWild2Report:
    """Import annotations and features; row k of either is frame k.

    The annotation decides on the number of frames, for test videos the longest feature. A feature that is
    longer by up to 2 frames is cut, one that is shorter repeats its last row; both are listed in the report.
    What columns of a .csv are, see :class:`~abawfw.datasets.importers.feature_folder.FeatureFolder`.

    Args:
        annotations: Folder with ``VA_Estimation_Challenge/{Train_Set,Validation_Set}/VIDEO.txt``.
        root: Data set to write; must not exist or be empty.
        features: Folder of ``VIDEO.npy`` or ``VIDEO.csv`` files for every feature.
        test_list: File with the names of the test videos, one per line.
        fps: CSV of lines ``video,fps``.

    Raises:
        DataError: With everything that is wrong, at once; nothing is written.
    """
    if not features:
        raise DataError('no feature given: --features NAME=DIR')
    folders = [FeatureFolder(name, Path(folder)) for name, folder in features.items()]
    sources = [
        _Source(path.stem, partition, path)
        for partition, paths in find_annotations(Path(annotations)).items()
        for path in paths
    ]
    if test_list is not None:
        sources += [_Source(name, 'test', None) for name in read_test_list(Path(test_list))]
    rates = None if fps is None else read_fps(Path(fps))
    counts = Counter(source.video_id for source in sources)
    problems = [
        f'{name}: there {n} times in Train_Set, Validation_Set, test list'
        for name, n in counts.items()
        if n > 1
    ]
    repairs: list[str] = []
    notes: list[str] = []
    dims = _find_dims(folders, sources)
    with RUCAIM3Writer(root, dims) as writer:
        for source in sources:
            found = len(problems)
            values = _collect(source, folders, problems)
            labels = _annotation(source, problems, notes)
            if rates is not None and source.video_id not in rates:
                problems.append(f'{fps}: no frame rate of {source.video_id}')
            if len(problems) == found:
                lengths = [len(rows.values) for rows in values.values()]
                num_frames = len(labels) if labels is not None else max(lengths)
                for name in values:
                    what = f'{source.video_id}: {name}'
                    values[name] = _fit(values[name], num_frames, what, problems, repairs)
            if problems:
                continue  # nothing will be written: only look for more of them
            rate = None if rates is None else rates[source.video_id]
            arrays = {name: rows.values for name, rows in values.items()}
            valid = {name: rows.valid for name, rows in values.items() if rows.valid is not None}
            writer.add(source.video_id, source.partition, arrays, labels, valid, fps=rate)
        if problems:
            title = f'{counted(len(problems), "problem")}, nothing written:'
            raise DataError('\n  '.join([title, *problems]))
    videos = {p: tuple(s.video_id for s in sources if s.partition == p) for p in ('train', 'val', 'test')}
    notes += [note for folder in folders for note in folder.notes()]
    left = unused_annotations(Path(annotations)) + not_taken(folders, [s.video_id for s in sources])
    return AffWild2Report(videos, tuple(repairs), tuple(notes), tuple(left))


def _find_dims(folders: list[FeatureFolder], sources: list[_Source]) -> dict[str, tuple[int, ...]]:
    """Shape of one frame of every feature, from the first video that has it."""
    for folder in folders:
        for source in sources:
            try:
                folder.read(source.video_id)
            except DataError:
                continue  # reported when the video is read
            break
    return {folder.name: folder.dims for folder in folders if folder.dims is not None}


def _collect(source: _Source, folders: list[FeatureFolder], problems: list[str]) -> dict[str, FeatureRows]:
    """All features of a video; what is wrong with them goes to problems."""
    values = {}
    for folder in folders:
        try:
            values[folder.name] = folder.read(source.video_id)
        except DataError as error:
            problems.append(f'{source.video_id}: {folder.name}: {error}')
    return values


def _annotation(source: _Source, problems: list[str], notes: list[str]) -> NDArray[np.float32] | None:
    if source.annotation is None:
        return None
    try:
        return read_annotation(source.annotation, notes)
    except DataError as error:
        problems.append(str(error))
        return None


def _fit(
    rows: FeatureRows, num_frames: int, what: str, problems: list[str], repairs: list[str]
) -> FeatureRows:
    """Bring a feature to the length of its video, or say why not."""
    repairs += rows.notes
    values, valid = rows.values, rows.valid
    difference = len(values) - num_frames
    lengths = f'{what} has {len(values)} frames, the video {num_frames}'
    if abs(difference) > FRAMES_APART:
        problems.append(
            f'{lengths}: more than {FRAMES_APART} apart; extract it again at the frame rate of the video'
        )
    elif difference > 0:
        repairs.append(f'{lengths}: last {difference} cut')
    elif difference < 0:
        repairs.append(f'{lengths}: last row repeated {counted(-difference, "time")}')
        values = np.concatenate([values, np.repeat(values[-1:], -difference, axis=0)])
        valid = None if valid is None else np.concatenate([valid, np.zeros(-difference, bool)])
    return FeatureRows(values[:num_frames], None if valid is None else valid[:num_frames])
