"""Folders with a file of values per video, written by any program: which rows and columns are a feature."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.importers.affwild2_files import is_number, read_npy
from abawfw.datasets.stores.checks import not_finite
from abawfw.datasets.stores.records import NARROW_DTYPES
from abawfw.errors import DataError
from abawfw.text_files import read_csv

FRAME = frozenset({'frame', 'frame_id', 'frame_index', 'frame_number', 'frameid', 'frame_idx'})
SUCCESS = 'success'
ABOUT_ROWS = frozenset({'index', 'face_id', 'timestamp', 'time', 'frametime', 'confidence', SUCCESS, *FRAME})
"""Columns that say something about a row (pandas, OpenFace, openSMILE) and are no values of a feature."""
PERSONS = ('_left', '_right')
_INDEX = re.compile(r'(unnamed: \d+)?')
_SUFFIXES = ('.npy', '.csv')


class FeatureRows(NamedTuple):
    """The frames of one video.

    Attributes:
        values: (frames, *dims), float16, uint8 or float32.
        valid: (frames,) bool, False where the file has no row or says that the tracking failed; None if
            neither happens.
        notes: what was done about frames without a row, a line each.
    """

    values: NDArray
    valid: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


class FeatureFolder:
    """VIDEO.npy or VIDEO.csv for every video, all of one kind.

    A .csv may have a header line; all files of a folder then have the same columns in the same order. A first
    line of the numbers 0, 1, 2, ... (or 0.0, 1.0, 2.0, ...), as pandas writes it for an array, is a header.
    Columns that number or describe rows are not taken: a column ``frame`` places each row, ``success`` says
    where nothing was observed. What was recorded once for two persons may stand in one file: ``2.npy`` serves
    ``2_left`` and ``2_right``.

    Args:
        name: of the feature, for messages.
        folder: where the files lie.

    Attributes:
        taken: file that served each video that was read.
        columns: names of the values of a frame; None where files have no header, or nothing was read.
        described: names of the columns that are no values.

    Raises:
        DataError: no such folder.
    """

    def __init__(self, name: str, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f'{folder}: no such folder (feature {name})')
        self.name, self.folder = name, folder
        self.taken: dict[str, Path] = {}
        self.columns: tuple[str, ...] | None = None
        self.described: tuple[str, ...] = ()
        self._first: tuple[Path, tuple[int, ...]] | None = None  # file and shape of a frame
        self._first_csv: Path | None = None
        self._base: int | None = None

    def files(self) -> list[Path]:
        """All files of values by name; those that macOS leaves beside them (._*) are none."""
        return sorted(
            path
            for path in self.folder.iterdir()
            if path.suffix in _SUFFIXES and not path.name.startswith('._')
        )

    @property
    def dims(self) -> tuple[int, ...] | None:
        """Shape of one frame; None before anything was read."""
        return None if self._first is None else self._first[1]

    def read(self, video_id: str) -> FeatureRows:
        """Values of a video.

        One number per frame becomes (frames, 1). float16 and uint8 are kept, anything else becomes float32.

        Raises:
            DataError: there is no file or two, it cannot be read, is empty, carries Python objects, a value
                is not finite, the rows contradict their numbers, or columns or shape differ from those of
                the files before.
        """
        path = self._path(video_id)
        rows = FeatureRows(read_npy(path)) if path.suffix == '.npy' else self._read_csv(path)
        values = rows.values
        if values.dtype.name not in NARROW_DTYPES:
            with np.errstate(over='ignore'):  # becomes inf, refused below
                values = values.astype(np.float32)
        if not values.size:
            raise DataError(f'{path}: no values, shape {values.shape}')
        bad = not_finite(values)
        if bad.any():
            raise DataError(
                f'{path}: {int(bad.sum())} of {len(bad)} frames hold NaN or inf, first row '
                f'{int(bad.argmax())}'
            )
        values = values[:, None] if values.ndim == 1 else values
        if self._first is None:
            self._first = path, values.shape[1:]
        elif values.shape[1:] != self._first[1]:
            raise DataError(
                f'{path}: a frame has shape {values.shape[1:]}, in {self._first[0]} {self._first[1]}'
            )
        self.taken[video_id] = path
        return rows._replace(values=values)

    def notes(self) -> list[str]:
        """What was taken in another way than as it stands there, a line each."""
        found = []
        if self.described:
            listed = ', '.join(name or 'number of the row' for name in self.described)
            found.append(f'{self.name}: columns that are no values of a frame, omitted: {listed}')
        shared = [video for video, path in self.taken.items() if path.stem != video]
        if shared:
            found.append(
                f'{self.name}: {", ".join(shared)}: no separate file, the one of both persons is used'
            )
        return found

    def _path(self, video_id: str) -> Path:
        for stem in stems(video_id):
            found = [p for p in (self.folder / f'{stem}{suffix}' for suffix in _SUFFIXES) if p.exists()]
            if len(found) == 2:
                raise DataError(f'{self.folder / stem}.npy: both .npy and .csv are there: remove one')
            if found:
                return found[0]
        near = get_close_matches(video_id, [path.stem for path in self.files()], n=1, cutoff=0.6)
        hint = f'; did you mean {near[0]!r}?' if near else ''
        raise DataError(f'{self.folder / video_id}.npy: no such file, nor .csv{hint}')

    def _read_csv(self, path: Path) -> FeatureRows:
        table = _Table(path)
        if self._first_csv is None:
            self._first_csv, self.columns, self.described = path, table.columns, table.described
        elif (self.columns, self.described) != (table.columns, table.described):
            raise DataError(f'{path}: {_difference(table, self)} {self._first_csv}')
        if table.frames is None:
            return FeatureRows(table.values, table.success)
        return self._placed(path, table, table.frames)

    def _placed(self, path: Path, table: _Table, frames: NDArray[np.int64]) -> FeatureRows:
        """Rows at the frames that they say; a frame without a row holds the one before, as not observed."""
        base = self._first_number()
        if base is None:
            raise DataError(
                f"{path}: its column 'frame' begins with {frames.min()}, as in no file with 0 or 1, so that "
                'the number of the first frame is unknown: write a row for every frame'
            )
        if frames.min() < base:
            raise DataError(f"{path}: its column 'frame' holds {frames.min()}, the first one is {base}")
        unique, counts = np.unique(frames, return_counts=True)
        if (twice := unique[counts > 1]).size:
            lines = [str(table.first_line + i) for i in np.flatnonzero(frames == twice[0])]
            raise DataError(
                f'{path}: frame {twice[0]} is there {len(lines)} times (lines {", ".join(lines)}); keep one '
                'row per frame, of one face'
            )
        if frames.max() - base >= 100 * len(frames) + 1000:
            raise DataError(
                f"{path}: its column 'frame' goes to {frames.max()}, with {len(frames)} rows: less than one "
                'frame in a hundred has one'
            )
        row_of = np.full(frames.max() - base + 1, -1)
        row_of[frames - base] = np.arange(len(frames))
        there = row_of >= 0
        if there.all():
            valid = None if table.success is None else table.success[row_of]
            return FeatureRows(table.values[row_of], valid)
        last = np.maximum.accumulate(np.where(there, np.arange(len(row_of)), -1))
        held = row_of[np.where(last >= 0, last, there.argmax())]
        valid = there if table.success is None else there & table.success[held]
        note = (
            f'{path.stem}: {self.name} has no row for {int((~there).sum())} of {len(there)} frames, first '
            f'{int((~there).argmax())}: they hold the row before and count as not observed'
        )
        return FeatureRows(table.values[held], valid, (note,))

    def _first_number(self) -> int | None:
        """What the files of this folder call the first frame: 0 or 1; None where none begins with either."""
        if self._base is None:
            starts = {start for path in self.files() if (start := _first_frame(path)) is not None}
            self._base = next((base for base in (0, 1) if base in starts), None)
        return self._base


class _Table:
    """A .csv file of numbers, a row per frame.

    Attributes:
        columns: names of the values; None without a header.
        described: names of the columns that describe rows.
        values: (rows, columns) float64.
        frames: number of the frame of each row, (rows,); None where no column has them.
        success: (rows,) bool, where a column says whether a face was tracked; None where none does.
        first_line: number of the line of the first row.
    """

    def __init__(self, path: Path) -> None:
        rows = read_csv(path)
        header = _header(path, rows)
        self.first_line = 1 + (header is not None)
        body = rows[self.first_line - 1 :]
        if not body:
            raise DataError(f'{path}: no frames')
        width = len(body[0] if header is None else header)
        for number, row in enumerate(body, self.first_line):
            if len(row) != width or not all(map(is_number, row)):
                raise DataError(
                    f'{path}: line {number} is {",".join(row)[:80]!r}, expected {width} numbers separated '
                    f'by commas{_instead(row, header)}'
                )
        twice = [name for name, n in Counter(header or ()).items() if n > 1]
        if twice:
            raise DataError(
                f'{path}: line 1 names {twice[0]!r} more than once: give every column its own name'
            )
        table = np.array(body, np.float64)
        names = [''] * width if header is None else header
        if header is None:
            about = [width > 1 and _counts_rows(table[:, 0]), *[False] * (width - 1)]
        else:
            about = [bool(name.lower() in ABOUT_ROWS or _INDEX.fullmatch(name.lower())) for name in names]
        by_name = {name.lower(): table[:, i] for i, name in enumerate(names)}
        self.described = tuple(itertools.compress(names, about))
        self.values = table[:, ~np.array(about)]
        self.columns = None if header is None else tuple(n for n in names if n not in self.described)
        numbers = next((by_name[name] for name in by_name if name in FRAME), None)
        self.frames = None if numbers is None else _whole(path, numbers, self.first_line)
        tracked = by_name.get(SUCCESS)
        self.success = None if tracked is None or (tracked != 0).all() else tracked != 0


def _instead(row: list[str], header: list[str] | None) -> str:
    """What explains a line that is not as many numbers as the first one says."""
    for separator, name in ((';', 'semicolons'), ('\t', 'tabs'), ('|', 'bars')):
        parts = ','.join(row).split(separator)
        if len(parts) > 1 and all(is_number(part.replace(',', '.')) for part in parts):
            return f'; it is separated by {name}: write it with commas (pandas: sep=",")'
    return (
        '' if header is None else f'; line 1, {",".join(header)[:60]!r}, was taken for the names of columns'
    )


def stems(video_id: str) -> list[str]:
    """Names under which the file of a video may stand: its own, then that of both persons of a recording."""
    return [video_id, *(video_id.removesuffix(p) for p in PERSONS if video_id.endswith(p))]


def not_taken(folders: Iterable[FeatureFolder], videos: Iterable[str]) -> list[str]:
    """Files of features that no video has taken, a line per name, with the nearest name of a video."""
    folders, videos = list(folders), list(videos)
    left: dict[str, list[str]] = {}
    for folder in folders:
        used = {path for video in videos for path in _files_of(folder, video)}
        for path in folder.files():
            if path not in used:
                left.setdefault(path.stem, []).append(folder.name)
    lines = []
    for stem, names in left.items():
        near = get_close_matches(stem, videos, n=1, cutoff=0.6)
        hint = f' (nearest name of a video: {near[0]!r})' if near else ''
        lines.append(f'{stem}: {", ".join(names)}, but no annotation and no line of a test list{hint}')
    return lines


def _files_of(folder: FeatureFolder, video: str) -> list[Path]:
    return [folder.folder / f'{stem}{suffix}' for stem in stems(video) for suffix in _SUFFIXES]


def _header(path: Path, rows: list[list[str]]) -> list[str] | None:
    """Names in the first line; None if that is the first frame.

    Raises:
        DataError: it may be either.
    """
    first = [text.strip() for text in rows[0]] if rows else []
    if not any(first):
        raise DataError(f'{path}: {"line 1 is empty" if rows else "no frames"}')
    index = not first[0]  # pandas leaves the name of its index empty
    numbers = [float(text) for text in first[index:] if is_number(text)]
    from_zero, from_one = ([float(i + start) for i in range(len(numbers))] for start in (0, 1))
    counted = numbers == from_zero or (numbers == from_one and len(numbers) > 1)
    named = len(first) - index - len(numbers)
    if counted if (numbers and (named or index)) else named:
        return first
    if named or index:
        raise DataError(
            f'{path}: line 1 is {",".join(first)[:80]!r}, which is neither a frame, as it holds more than '
            'numbers, nor a header, as it holds values'
        )
    if not counted:
        return None
    alike = _is_digits if all(map(_is_digits, first)) else _is_whole
    plain = all(alike(text) for row in rows[1:] for text in row)
    if len(first) > 3 or (len(first) > 1 and not plain):
        return first
    raise DataError(
        f'{path}: line 1 is {",".join(first)!r}, which may be a header or the first frame: write names of '
        'columns there (pandas: columns=[...]), or a .npy file'
    )


def _is_digits(text: str) -> bool:
    return text.strip().lstrip('+-').isdigit()


def _is_whole(text: str) -> bool:
    return is_number(text) and float(text).is_integer()


def _counts_rows(column: NDArray[np.float64]) -> bool:
    """Whether a column without a name is the number of the row, as pandas writes its index."""
    rows = np.arange(len(column))
    return len(column) > 2 and (np.array_equal(column, rows) or np.array_equal(column, rows + 1))


def _whole(path: Path, numbers: NDArray[np.float64], first_line: int) -> NDArray[np.int64]:
    bad = ~(np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < 2**31))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f'{path}: line {first_line + row}: frame {numbers[row]:g} is no number of a frame')
    return numbers.astype(np.int64)


def _first_frame(path: Path) -> int | None:
    """Smallest number of a frame in a .csv file; None if no column has them, or the file cannot be read."""
    if path.suffix != '.csv':
        return None
    try:
        rows = iter(read_csv(path))
        names = [text.strip().lower() for text in next(rows)]
        column = next(i for i, name in enumerate(names) if name in FRAME)
        return int(min(float(row[column]) for row in rows))
    except (DataError, StopIteration, ValueError, IndexError, OverflowError):
        return None  # reported where the video is read


def _difference(table: _Table, other: FeatureFolder) -> str:
    """How the columns of a file differ from those of the first."""
    here, there = table.columns, other.columns
    if here is None or there is None:
        if here is there:
            return f'{"has" if table.described else "lacks"} a column that numbers its rows, unlike'
        return f'has {"no" if here is None else "a"} header, unlike'
    here, there = (*table.described, *here), (*other.described, *there)
    gone = [name for name in there if name not in here]
    more = [name for name in here if name not in there]
    parts = [f'{what} {", ".join(names[:6])}' for what, names in (('lacks', gone), ('adds', more)) if names]
    if parts:
        return f'{" and ".join(parts)}, unlike'
    return f'has its columns in another order ({", ".join(here[:6])}{", ..." * (len(here) > 6)}) than'
