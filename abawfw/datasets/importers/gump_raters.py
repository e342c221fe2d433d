"""Ratings of the film Forrest Gump, as HDF5 of clips and raters, to a file per rater and clip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import TARGETS
from abawfw.datasets.stores.checks import plain_name
from abawfw.datasets.stores.rucaim3.hdf5_reader import HDF5Reader
from abawfw.errors import DataError, counted
from abawfw.files import FolderWriter

RATE = 5.0
"""Values a second."""
MAX_VALUES = 1 << 20
"""Values of a clip at most: 58 hours; a file may state any number of them."""
OBSERVERS = 'av'
"""Names of those who saw and heard the film begin so; the others listened to its audio description."""


class GumpReport(NamedTuple):
    """What was written.

    Attributes:
        clips: their names.
        raters: whose ratings were taken.
        omitted: raters who did not see the film.
    """

    clips: tuple[str, ...]
    raters: tuple[str, ...]
    omitted: tuple[str, ...]


def convert_gump_raters(files: Sequence[str | os.PathLike[str]], root: str | os.PathLike[str]) -> GumpReport:
    """Write ``CLIP.RATER.1.csv`` for every clip and observer (docs/labels.md, Raters).

    Source: Labs et al. 2015, Portrayed emotions in the movie "Forrest Gump", F1000Research 4:92.

    Args:
        files: HDF5: by clip ``valence`` and ``arousal``, (raters, values), five a second; names of the raters
            in the attribute ``raters``.
        root: folder to write; it must not exist or be empty.

    Raises:
        DataError: a file cannot be read, holds something else, reaches beyond its folder, or names what can
            be no file; a clip is there twice; a rating is not from -1 to 1.
    """
    clips: list[str] = []
    raters: dict[str, None] = {}
    omitted: dict[str, None] = {}
    with _Folder(root) as folder:
        for path in map(Path, files):
            reader = HDF5Reader(path.parent)
            names = _raters(reader, path)
            raters |= dict.fromkeys(name for name in names if name.startswith(OBSERVERS))
            omitted |= dict.fromkeys(name for name in names if name not in raters)
            for clip in reader.groups(path):
                if _name(clip, path) in clips:
                    raise DataError(f'{path}: clip {clip} is in two files; name each file once')
                clips.append(clip)
                for name, values in zip(names, _values(reader, path, clip, len(names)), strict=True):
                    if name in raters:
                        _check_ratings(values, f'{path}: clip {clip}', name)
                        folder.add(clip, name, values)
        if not raters:
            there = ', '.join(omitted) or 'nobody'
            raise DataError(f'{", ".join(map(str, files))}: no observer of the film in it, only {there}')
    return GumpReport(tuple(clips), tuple(raters), tuple(omitted))


def _raters(reader: HDF5Reader, path: Path) -> list[str]:
    """Names of the raters of a file, each that of one file."""
    with reader.reading(path) as file:
        found = np.asarray(file.attrs['raters']) if 'raters' in file.attrs else np.empty(())
        names = [name.decode() if isinstance(name, bytes) else name for name in found.reshape(-1).tolist()]
    if found.ndim != 1 or not all(isinstance(name, str) for name in names):
        raise DataError(
            f'{path}: is no file of ratings by clip and rater (no names of raters in its attribute raters)'
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f'{path}: two raters are called {twice[0]!r}; rename one')
    return [_rater_name(str(name), path) for name in names]


def _name(name: str, path: Path) -> str:
    """The name, if it is that of one file and stands on one line of it."""
    if len(plain_name(name, path).splitlines()) > 1:
        raise DataError(f'{path}: {name!a} cannot be a name here: it breaks the line; rename it')
    return name


def _rater_name(name: str, path: Path) -> str:
    """The same of a rater, whose name stands between dots in those of files."""
    if '.' in _name(name, path):
        raise DataError(
            f'{path}: rater {name!r}: names of files have a dot between clip and rater; rename it'
        )
    return name


def _values(reader: HDF5Reader, path: Path, clip: str, raters: int) -> NDArray[np.float64]:
    """Ratings (raters, values, 2) of a clip."""
    with reader.reading(path):
        arrays = [reader.array(path, clip, target) for target in TARGETS]
        if len(shapes := {array.shape for array in arrays}) > 1 or len(shape := shapes.pop()) != 2:
            raise DataError(
                f'{path}: clip {clip}: {" and ".join(TARGETS)} have shapes {arrays[0].shape} and '
                f'{arrays[1].shape}, expected (raters, values) twice; write this clip again'
            )
        if shape[0] != raters:
            raise DataError(f'{path}: clip {clip}: {counted(shape[0], "rater")}, but {raters} names')
        if shape[1] > MAX_VALUES:
            raise DataError(f'{path}: clip {clip}: {shape[1]:,} values; up to {MAX_VALUES:,} are read')
        return np.stack([np.asarray(array[()], np.float64) for array in arrays], axis=2)


def _check_ratings(values: NDArray[np.float64], where: str, rater: str) -> None:
    """Refuse ratings (values, 2) that are none."""
    if (wrong := ~(np.abs(values) <= 1)).any():
        k, j = np.argwhere(wrong)[0]
        value = values[k, j]
        why = 'no number; remove the clip' if np.isnan(value) else 'outside [-1, 1]; scale the ratings'
        raise DataError(f'{where}: {TARGETS[j]} of rater {rater} is {value:g} at {k / RATE:g} s: {why}')


class _Folder(FolderWriter):
    """Files of raters."""

    def add(self, clip: str, rater: str, values: NDArray[np.float64]) -> None:
        """Write the ratings (values, 2) of one clip by one rater."""
        head = [f'# video: {clip}', f'# rater: {rater}', '# pass: 1', f'# rate: {RATE:g}']
        rows = [f'{k / RATE:.1f},{v:.9g},{a:.9g}' for k, (v, a) in enumerate(values)]
        text = '\n'.join([*head, f'time,{",".join(TARGETS)}', *rows]) + '\n'
        (self._folder / f'{clip}.{rater}.1.csv').write_text(text, encoding='utf-8')
