"""Files of Aff-Wild2: annotations, lists of test videos, frame rates."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.labels import clean_labels, half_labelled
from abawfw.datasets.stores.npy_file import read_array
from abawfw.errors import DataError
from abawfw.text_files import read_csv, read_text

HEADER = 'valence,arousal'
FOLDERS = {'train': 'Train_Set', 'val': 'Validation_Set'}
_NAMES = ' and '.join(FOLDERS.values())


def find_annotations(annotations: Path) -> dict[str, list[Path]]:
    """Annotation files of train and val, by name, below ANNOTATIONS or ANNOTATIONS/VA_Estimation_Challenge.

    Raises:
        DataError: If a folder is missing or holds no txt file; folders beside it that do are named.
    """
    root = _root(annotations)
    files = {partition: _texts(root / folder) for partition, folder in FOLDERS.items()}
    if empty := [str(root / FOLDERS[partition]) for partition, found in files.items() if not found]:
        others = [folder.name for folder in _other_folders(root)]
        hint = f'; there are files in {", ".join(others)}: rename the folder' if others else ''
        raise DataError(f'{", ".join(empty)}: no annotation files (*.txt){hint}')
    return files


def unused_annotations(annotations: Path) -> list[str]:
    """What lies among the annotations and is not read, a line each."""
    root = _root(annotations)
    lines = []
    for folder in _other_folders(root):
        near = get_close_matches(folder.name, FOLDERS.values(), n=1, cutoff=0.4)
        hint = f' (nearest: {near[0]})' if near else ''
        lines.append(f'{folder}: {len(_texts(folder))} .txt files, but only {_NAMES} are read{hint}')
    for name in FOLDERS.values():
        others = [p for p in sorted((root / name).iterdir()) if p.suffix.lower() != '.txt']
        lines += [f'{p}: only .txt files are read' for p in others if not p.name.startswith('.')]
    return lines


def _root(annotations: Path) -> Path:
    inner = annotations / 'VA_Estimation_Challenge'
    return inner if inner.is_dir() else annotations


def _texts(folder: Path) -> list[Path]:
    """Text files of a folder; those that macOS leaves beside them (._*) are none."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == '.txt' and not p.name.startswith('._'))


def _other_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.is_dir() and p.name not in FOLDERS.values() and _texts(p))


def read_annotation(path: Path, notes: list[str] | None = None) -> NDArray[np.float32]:
    """(frames, 2) valence and arousal, NaN in both where the file says -5 in either.

    Args:
        path: text file of a video.
        notes: takes a line where a label is not used, since that of the other target is missing.

    Raises:
        DataError: If the header, a line or a value is wrong, or there are no frames.
    """
    lines = read_lines(path)
    if not lines or lines[0].replace(' ', '').lower() != HEADER:
        raise DataError(f'{path}: first line is {lines[0] if lines else ""!r}, expected {HEADER!r}')
    labels = _numbers(path, [line.split(',') for line in lines[1:]], first_line=2, columns=2)
    if not len(labels):
        raise DataError(f'{path}: no frames')
    if np.isnan(labels).any():
        raise DataError(f'{path}: line {2 + int(np.isnan(labels).any(axis=1).argmax())} holds NaN')
    if notes is not None and (half := half_labelled(labels)):
        notes.append(f'{path}: {half}')
    return clean_labels(labels, path.stem)


def read_test_list(path: Path) -> list[str]:
    """Names of the test videos, one per line.

    Raises:
        DataError: If the file cannot be read or lists nothing.
    """
    names = [line.strip() for line in read_lines(path) if line.strip()]
    if not names:
        raise DataError(f'{path}: lists no video')
    return names


def read_fps(path: Path) -> dict[str, float]:
    """Frames per second of videos from lines ``video,fps``, with or without a header line.

    Raises:
        DataError: If the file cannot be read, a line is malformed or a video occurs twice.
    """
    rates: dict[str, float] = {}
    for number, row in enumerate(read_csv(path), start=1):
        if not row or (number == 1 and not is_number(row[-1])):
            continue
        if len(row) != 2 or not is_number(row[1]) or not 0 < float(row[1]) < np.inf:
            raise DataError(f'{path}: line {number} is {",".join(row)!r}, expected VIDEO,FPS')
        if row[0] in rates:
            raise DataError(f'{path}: line {number}: {row[0]} occurs twice')
        rates[row[0]] = float(row[1])
    return rates


def read_lines(path: Path) -> list[str]:
    """Lines of a text file; DataError if it cannot be read."""
    return read_text(path).splitlines()


def is_number(text: str) -> bool:
    """Whether a text of a file is a number, NaN and infinity among them."""
    try:
        float(text)
    except ValueError:
        return False
    return '_' not in text  # 1_000 is one to Python alone


def _numbers(path: Path, rows: list[list[str]], first_line: int, columns: int) -> NDArray[np.float64]:
    """(rows, columns); errors name the line."""
    for i, row in enumerate(rows):
        if len(row) != columns or not all(map(is_number, row)):
            raise DataError(
                f'{path}: line {first_line + i} is {",".join(row)[:80]!r}, expected {columns} numbers'
            )
    return np.array(rows, np.float64).reshape(len(rows), columns)


def read_npy(path: Path) -> NDArray:
    """Numbers (frames, *dims) of a .npy file.

    Raises:
        DataError: it cannot be read, or holds anything else.
    """
    values = read_array(path)
    if not values.ndim:
        raise DataError(
            f'{path}: holds {values.dtype} of shape {values.shape}, expected numbers (frames, *dims)'
        )
    return values
