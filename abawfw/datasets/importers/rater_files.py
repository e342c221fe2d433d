"""Files of raters: one per rater, video and pass, with times and values (docs/labels.md, Raters)."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import TARGETS
from abawfw.datasets.importers.affwild2_files import is_number, read_annotation, read_lines
from abawfw.datasets.stores.checks import plain_name
from abawfw.errors import DataError, counted
from abawfw.evaluation.functional.rater_delays import at_other_times

TIME = 'time'
NAMED = 'VIDEO.RATER.PASS.csv'
RATES = (1.0, 1000.0)
"""Values a second."""
SLACK = 1.05
"""Times are rounded, so the rate at an end of ``RATES`` may be a little beyond it."""
GAP = 1.0
"""Seconds: nothing is known between ratings that are further apart, unless three steps take longer."""
_ABOUT = re.compile(r'#\s*(\w+)\s*:\s*(.*?)\s*')


@dataclass(frozen=True)
class RaterFile:
    """What one rater says of one video in one pass.

    Attributes:
        path: the file.
        video: its name, in the Unicode form NFC.
        rater: who, likewise.
        number: of the pass, as it is written.
        times: (rows,) seconds; None where row k is frame k of the video.
        values: (rows,) by target, NaN where there is no rating.
        lines: (rows,) of the file that they stand in, from 1.
        notes: what of the file is not used, a line each.
    """

    path: Path
    video: str
    rater: str
    number: str
    times: NDArray[np.float64] | None
    values: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)

    def on_frames(self, frames: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """The ratings at the frames of the video, (frames,) by target, NaN where there are none.

        Straight lines between ratings; where there are several a frame, their mean. The first and the last
        one hold for half a step beyond them. Nothing holds across a gap.

        Args:
            frames: (frames,) seconds at which each is shown.
        """
        if self.times is None:
            missing = len(frames) - len(self.lines)
            return {
                target: np.pad(of[: len(frames)], (0, max(missing, 0)), constant_values=np.nan)
                for target, of in self.values.items()
            }
        return {target: _on_frames(self.times, of, frames) for target, of in self.values.items()}


def _on_frames(
    times: NDArray[np.float64], values: NDArray[np.float64], frames: NDArray[np.float64]
) -> NDArray[np.float64]:
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(frames), np.nan)
    step = float(np.median(np.diff(times)))
    found = at_other_times(values, times, frames)
    wide = float(np.median(np.diff(frames))) if len(frames) > 1 else step
    if step < 0.75 * wide:
        first, last = (np.searchsorted(times, frames + side * wide / 2) for side in (-1, 1))
        one = values[known.argmax()]  # sums about it leave no rounding of one who never moves
        sums = np.append(0, np.cumsum(np.where(known, values - one, 0.0)))
        counts = np.append(0, np.cumsum(known))
        count = counts[last] - counts[first]
        np.divide(sums[last] - sums[first], count, out=found, where=count > 0)
        found[count > 0] += one
    gaps = np.flatnonzero(np.diff(times) > max(GAP, 3 * step))
    for start, stop in zip(times[gaps], times[gaps + 1], strict=True):
        found[(frames > start) & (frames < stop)] = np.nan
    at, moments = np.flatnonzero(known)[[0, -1]], times[known][[0, -1]]
    reach = 0.501 * max(step, wide)  # half of it, and rounding
    found[(frames < moments[0]) & (frames >= moments[0] - reach)] = values[at[0]]
    found[(frames > moments[1]) & (frames <= moments[1] + reach)] = values[at[1]]
    return found


def read_rater_files(folder: Path) -> list[RaterFile]:
    """Read ``VIDEO.RATER.PASS.csv`` and ``VIDEO.RATER.PASS.txt`` (Aff-Wild2's layout) of a folder, by name.

    Files with other endings are left alone.

    Raises:
        DataError: no such folder, no such file in it, or with everything that is wrong with them, a line
            each.
    """
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder; give the one with the files {NAMED}')
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in ('.csv', '.txt') and not path.name.startswith('.')
    )
    if not paths:
        raise DataError(f'{folder}: no rater has a file there; their names are {NAMED} (or .txt)')
    found, problems = [], []
    for path in paths:
        try:
            found.append(_read(path))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError('\n  '.join([f'{counted(len(problems), "problem")}, nothing written:', *problems]))
    return found


def _read(path: Path) -> RaterFile:
    lines = read_lines(path)
    if not any(line.strip() for line in lines):
        raise DataError(f'{path}: is empty; remove it, or save the ratings again')
    about = {}
    for line in lines:
        if not line.startswith('#'):
            break
        if match := _ABOUT.fullmatch(line):
            about[match[1].lower()] = match[2]
    video, rater, number = _names(path, about)
    if path.suffix.lower() == '.txt':
        notes: list[str] = []
        labels = read_annotation(path, notes).astype(np.float64)
        rows = np.arange(2, len(labels) + 2)
        return RaterFile(
            path, video, rater, number, None, dict(zip(TARGETS, labels.T, strict=True)), rows, notes
        )
    times, values, rows, notes = _table(path, lines)
    return RaterFile(path, video, rater, number, times, values, rows, notes)


def _names(path: Path, about: dict[str, str]) -> tuple[str, str, str]:
    """Video, rater and pass, from the name of the file, or else from the lines that begin it with #.

    In one Unicode form: systems differ in the one they give to names of files.
    """
    parts = normalize('NFC', path.stem).rsplit('.', 2)
    named = dict(zip(('video', 'rater', 'pass'), parts, strict=True)) if len(parts) == 3 else {}
    for key in ('video', 'rater'):
        said = about[key] = normalize('NFC', about.get(key, ''))
        if not (said or named.get(key)):
            raise DataError(
                f'{path}: of which {key} is it? Name it {NAMED}, or begin it with "# {key}: NAME"'
            )
        if said and named.get(key) and said.split() != named[key].split():
            raise DataError(
                f'{path}: the file says "# {key}: {said}", its name {named[key]!r}: a file of another {key}? '
                f'Rename it, {NAMED}, or correct the line'
            )
    found = {key: named.get(key) or about.get(key) or '1' for key in ('video', 'rater', 'pass')}
    return plain_name(found['video'], path), plain_name(found['rater'], path), found['pass']


def _table(
    path: Path, lines: list[str]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]], NDArray[np.int64], list[str]]:
    """Times, values by target, lines of the file, and notes."""
    numbered = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith('#')
    ]
    rows = [_cells(path, number, line) for number, line in numbered]
    at = np.array([number for number, _ in numbered[1:]], dtype=np.int64)
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    targets = [target for target in TARGETS if target in header]
    if TIME not in header or not targets:
        found = numbered[0][1].strip()[:60] if numbered else ''
        raise DataError(
            f'{path}: line {numbered[0][0] if numbered else 1} is {found!r}, expected the header '
            f'{TIME},{",".join(TARGETS)} (or one of both), with commas: is it a file of another program?'
        )
    if twice := [name for name in (TIME, *targets) if header.count(name) > 1]:
        raise DataError(f'{path}: line {numbered[0][0]}: column {twice[0]!r} is there twice; remove one')
    if (uneven := next((k for k, row in enumerate(rows[1:]) if len(row) != len(header)), None)) is not None:
        count = counted(len(rows[uneven + 1]), 'value')
        raise DataError(f'{path}: line {at[uneven]} has {count}, the header {len(header)}: correct it')
    names = [TIME, *targets]
    columns = [header.index(name) for name in names]
    values = _numbers(path, [[row[column].strip() for column in columns] for row in rows[1:]], names, at)
    times, ratings = values[:, 0], dict(zip(targets, values[:, 1:].T, strict=True))
    _check_times(path, times, at)
    for target, of in ratings.items():
        if (bad := np.abs(of) > 1).any():
            k = int(bad.argmax())
            raise DataError(
                f'{path}: line {at[k]}: {target} is {of[k]:g}, outside [-1, 1]; scale the ratings, and leave '
                'cells empty where there is no rating'
            )
    others = [name for name in header if name not in names]
    return times, ratings, at, [f'{path}: columns not used: {", ".join(others)}'] if others else []


def _cells(path: Path, number: int, line: str) -> list[str]:
    if '"' not in line:
        return line.split(',')
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise DataError(f'{path}: line {number}: is no row of CSV ({error})') from None


def _numbers(
    path: Path, rows: list[list[str]], names: list[str], at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cells (rows, names) as numbers; a cell of a target that is empty, no rating at that moment, is NaN."""
    cells = np.array(rows, dtype=np.str_).reshape(len(rows), len(names))
    empty = cells == ''
    empty[:, 0] = False
    try:
        values = np.where(empty, 'nan', cells).astype(np.float64)
        wrong = ~np.isfinite(values) & ~empty
    except ValueError:
        wrong = ~empty & [[not is_number(cell) for cell in row] for row in rows]
    if wrong.any():
        k, j = np.argwhere(wrong)[0]
        raise DataError(
            f'{path}: line {at[k]}: {names[j]} is {rows[k][j][:40]!r}, a finite number is expected; omit the '
            'line, or leave the cell empty, where there is no rating'
        )
    return values


def _check_times(path: Path, times: NDArray[np.float64], at: NDArray[np.int64]) -> None:
    if len(times) < 2:
        raise DataError(f'{path}: {counted(len(times), "row")} of ratings make no curve; two are the least')
    if times[0] < 0:
        raise DataError(
            f'{path}: line {at[0]}: time {times[0]:g} s is before the video begins; count from its start'
        )
    back = np.diff(times) <= 0
    if back.any():
        k = int(back.argmax()) + 1
        raise DataError(
            f'{path}: line {at[k]}: time {times[k]:g} s after {times[k - 1]:g} s; times must rise: sort the '
            'lines and keep one of each moment, or make it two passes'
        )
    rate = 1 / float(np.median(np.diff(times)))
    if not RATES[0] / SLACK <= rate <= RATES[1] * SLACK:
        hint = ' (are they milliseconds?)' if rate < RATES[0] else ''
        raise DataError(
            f'{path}: lines {at[0]} to {at[-1]}: {rate:.3g} ratings a second, from {RATES[0]:g} to '
            f'{RATES[1]:,.0f} are taken; times must be in seconds{hint}'
        )
