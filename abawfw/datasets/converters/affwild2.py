"""Aff-Wild2's annotation folder and per-frame feature files, to the HDF5 layout of RUCAIM3."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.converters.affwild2_files import (
    find_annotations,
    read_annotation,
    read_feature,
    read_fps,
    read_test_list,
)
from abawfw.datasets.stores.rucaim3_writer import RUCAIM3Writer
from abawfw.errors import DataError

TOLERANCE = 2
"""Frames by which annotation and feature may differ: off by one is the normal case (``spec/affwild2.md``)."""


class AffWild2Report(NamedTuple):
    """What an import did: videos per partition, and every repair in one line."""

    videos: dict[str, tuple[str, ...]]
    repairs: tuple[str, ...]


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
    folders = {name: Path(folder) for name, folder in features.items()}
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
    dims = _find_dims(folders, sources, problems)
    with RUCAIM3Writer(root, dims) as writer:
        for source in sources:
            found = len(problems)
            values = _collect(source, folders, dims, problems)
            labels = _annotation(source, problems)
            if rates is not None and source.video_id not in rates:
                problems.append(f'{fps}: no frame rate of {source.video_id}')
            if len(problems) == found:
                num_frames = len(labels) if labels is not None else max(map(len, values.values()))
                for name in values:
                    values[name] = _fit(
                        values[name], num_frames, f'{source.video_id}: {name}', problems, repairs
                    )
            if problems:
                continue  # nothing will be written: only look for more of them
            rate = None if rates is None else rates[source.video_id]
            writer.add(source.video_id, source.partition, values, labels, fps=rate)
        if problems:
            raise DataError(f'{len(problems)} problem(s), nothing written:\n  ' + '\n  '.join(problems))
    videos = {p: tuple(s.video_id for s in sources if s.partition == p) for p in ('train', 'val', 'test')}
    return AffWild2Report(videos, tuple(repairs))


def _find_dims(
    folders: Mapping[str, Path], sources: list[_Source], problems: list[str]
) -> dict[str, tuple[int, ...]]:
    """Shape of one frame of every feature, from the first video that has it."""
    dims: dict[str, tuple[int, ...]] = {}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise DataError(f'{folder}: no such folder (feature {name})')
        for source in sources:
            try:
                dims[name] = read_feature(folder, source.video_id).shape[1:]
            except DataError:
                continue  # reported when the video is read
            break
    return dims


def _collect(
    source: _Source, folders: Mapping[str, Path], dims: Mapping[str, tuple[int, ...]], problems: list[str]
) -> dict[str, NDArray]:
    """All features of a video; what is wrong with them goes to problems."""
    values = {}
    for name, folder in folders.items():
        try:
            values[name] = read_feature(folder, source.video_id)
        except DataError as error:
            problems.append(f'{source.video_id}: {name}: {error}')
            continue
        if values[name].shape[1:] != dims[name]:
            problems.append(
                f'{source.video_id}: a frame of {name} has shape {values[name].shape[1:]}, '
                f'in the first video {dims[name]}'
            )
    return values


def _annotation(source: _Source, problems: list[str]) -> NDArray[np.float32] | None:
    if source.annotation is None:
        return None
    try:
        return read_annotation(source.annotation)
    except DataError as error:
        problems.append(str(error))
        return None


def _fit(values: NDArray, num_frames: int, what: str, problems: list[str], repairs: list[str]) -> NDArray:
    """Bring a feature to the length of its video, or say why not."""
    difference = len(values) - num_frames
    lengths = f'{what} has {len(values)} frames, the video {num_frames}'
    if abs(difference) > TOLERANCE:
        problems.append(
            f'{lengths}: more than {TOLERANCE} apart; extract it again at the frame rate of the video'
        )
    elif difference > 0:
        repairs.append(f'{lengths}: last {difference} cut')
        return values[:num_frames]
    elif difference < 0:
        repairs.append(f'{lengths}: last row repeated {-difference} time(s)')
        return np.concatenate([values, np.repeat(values[-1:], -difference, axis=0)])
    return values
