"""Ratings of the film Forrest Gump, as HDF5 of clips and raters, to a file per rater and clip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from abawfw.datasets.stores.labels import COLUMNS
from abawfw.errors import DataError
from abawfw.files import FolderWriter

RATE = 5.0
"""Values a second."""
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
        DataError: a file cannot be read, or holds something else, or a clip is there twice.
    """
    clips: list[str] = []
    raters: dict[str, None] = {}
    omitted: dict[str, None] = {}
    with _Folder(root) as folder:
        for path in map(Path, files):
            try:
                with h5py.File(path) as file:
                    names = [str(name) for name in file.attrs['raters']]
                    raters |= dict.fromkeys(name for name in names if name.startswith(OBSERVERS))
                    omitted |= dict.fromkeys(name for name in names if name not in raters)
                    for clip in file:
                        if clip in clips:
                            raise DataError(f'{path}: clip {clip} is in two files; name each file once')
                        values = np.stack([file[clip][target][()] for target in COLUMNS], axis=2)
                        if values.shape[0] != len(names):
                            raise DataError(
                                f'{path}: clip {clip}: {values.shape[0]} raters, but {len(names)} names'
                            )
                        clips.append(clip)
                        for name, of in zip(names, values, strict=True):
                            if name in raters:
                                folder.add(clip, name, of)
            except (OSError, KeyError, ValueError, AttributeError) as error:
                raise DataError(f'{path}: is no file of ratings by clip and rater ({error})') from error
    return GumpReport(tuple(clips), tuple(raters), tuple(omitted))


class _Folder(FolderWriter):
    """Files of raters."""

    def add(self, clip: str, rater: str, values: np.ndarray) -> None:
        """Write the ratings (values, 2) of one clip by one rater."""
        head = [f'# video: {clip}', f'# rater: {rater}', '# pass: 1', f'# rate: {RATE:g}']
        rows = [f'{k / RATE:.1f},{v:.9g},{a:.9g}' for k, (v, a) in enumerate(values)]
        text = '\n'.join([*head, f'time,{",".join(COLUMNS)}', *rows]) + '\n'
        (self._folder / f'{clip}.{rater}.1.csv').write_text(text, encoding='utf-8')
