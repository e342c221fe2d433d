"""Files of Aff-Wild2 and per-frame features beside them (``spec/affwild2.md``)."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.checks import not_finite
from abawfw.datasets.stores.labels import clean_labels
from abawfw.datasets.stores.npy_file import read_array
from abawfw.errors import DataError

HEADER = 'valence,arousal'
FOLDERS = {'train': 'Train_Set', 'val': 'Validation_Set'}


def find_annotations(annotations: Path) -> dict[str, list[Path]]:
    """Annotation files of train and val, by name, below ANNOTATIONS or ANNOTATIONS/VA_Estimation_Challenge.

    Raises:
        DataError: If a folder is missing or holds no txt file.
    """
    inner = annotations / 'VA_Estimation_Challenge'
    root = inner if inner.is_dir() else annotations
    files = {partition: sorted((root / folder).glob('*.txt')) for partition, folder in FOLDERS.items()}
    if empty := [str(root / FOLDERS[partition]) for partition, found in files.items() if not found]:
        raise DataError(f'{", ".join(empty)}: no annotation files (*.txt)')
    return files


def read_annotation(path: Path) -> NDArray[np.float32]:
    """(frames, 2) valence and arousal, NaN where the file says -5.

    Raises:
        DataError: If the header, a line or a value is wrong, or there are no frames.
    """
    lines = _lines(path)
    if not lines or lines[0].replace(' ', '').lower() != HEADER:
        raise DataError(f'{path}: first line is {lines[0] if lines else ""!r}, expected {HEADER!r}')
    labels = _numbers(path, [line.split(',') for line in lines[1:]], first_line=2, columns=2)
    if not len(labels):
        raise DataError(f'{path}: no frames')
    if np.isnan(labels).any():
        raise DataError(f'{path}: line {2 + int(np.isnan(labels).any(axis=1).argmax())} holds NaN')
    return clean_labels(labels, path.stem)


def read_feature(folder: Path, video_id: str) -> NDArray:
    """Values (frames, *dims) from VIDEO.npy, or from VIDEO.csv with or without a header line.

    One number per frame becomes (frames, 1). float16 and uint8 are kept, anything else becomes float32.

    Raises:
        DataError: If there is no file or two, it cannot be read, is empty, carries Python objects, or a value
            is not finite.
    """
    found = [path for path in (folder / f'{video_id}.npy', folder / f'{video_id}.csv') if path.is_file()]
    if len(found) != 1:
        what = 'both .npy and .csv are there' if found else 'no such file, nor .csv'
        raise DataError(f'{folder / video_id}.npy: {what}')
    path = found[0]
    values = _read_npy(path) if path.suffix == '.npy' else _read_csv(path)
    if values.dtype.name not in ('float16', 'uint8'):
        with np.errstate(over='ignore'):  # becomes inf, refused below
            values = values.astype(np.float32)
    if not values.size:
        raise DataError(f'{path}: no values, shape {values.shape}')
    bad = not_finite(values)
    if bad.any():
        raise DataError(
            f'{path}: {int(bad.sum())} of {len(bad)} frames hold NaN or inf, first row {int(bad.argmax())}'
        )
    return values[:, None] if values.ndim == 1 else values


def read_test_list(path: Path) -> list[str]:
    """Names of the test videos, one per line.

    Raises:
        DataError: If the file cannot be read or lists nothing.
    """
    names = [line.strip() for line in _lines(path) if line.strip()]
    if not names:
        raise DataError(f'{path}: lists no video')
    return names


def read_fps(path: Path) -> dict[str, float]:
    """Frames per second of videos from lines ``video,fps``, with or without a header line.

    Raises:
        DataError: If the file cannot be read, a line is malformed or a video is there twice.
    """
    rates: dict[str, float] = {}
    for number, row in enumerate(csv.reader(_lines(path)), start=1):
        if not row or (number == 1 and not _is_number(row[-1])):
            continue
        if len(row) != 2 or not _is_number(row[1]) or not 0 < float(row[1]) < np.inf:
            raise DataError(f'{path}: line {number} is {",".join(row)!r}, expected VIDEO,FPS')
        if row[0] in rates:
            raise DataError(f'{path}: line {number}: {row[0]} is there twice')
        rates[row[0]] = float(row[1])
    return rates


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding='utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise DataError(f'{path}: cannot be read ({reason})') from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(path: Path, rows: list[list[str]], first_line: int, columns: int) -> NDArray[np.float64]:
    """(rows, columns); errors name the line."""
    for i, row in enumerate(rows):
        if len(row) != columns or not all(map(_is_number, row)):
            raise DataError(
                f'{path}: line {first_line + i} is {",".join(row)[:80]!r}, expected {columns} numbers'
            )
    return np.array(rows, np.float64).reshape(len(rows), columns)


def _read_csv(path: Path) -> NDArray[np.float64]:
    rows = list(csv.reader(_lines(path)))
    header = bool(rows) and not any(map(_is_number, rows[0]))
    if len(rows) <= header:
        raise DataError(f'{path}: no frames')
    return _numbers(path, rows[header:], first_line=1 + header, columns=len(rows[0]))


def _read_npy(path: Path) -> NDArray:
    values = read_array(path)
    if not values.ndim:
        raise DataError(
            f'{path}: holds {values.dtype} of shape {values.shape}, expected numbers (frames, *dims)'
        )
    return values
