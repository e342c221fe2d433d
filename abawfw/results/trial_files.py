"""Predictions as text files in the layout of TAGF's family (docs/tagf.md, Evaluation and output).

``predict/{val|extra}/{target}/{trial}.txt``: the first line is the target, then one value per frame.
``extra`` is what the reference calls the test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.files import write_text
from abawfw.text_files import read_text

FOLDER = 'predict'
PARTITIONS = {'val': 'val', 'test': 'extra'}


def write_trial_files(
    folder: Path | str, partition: str, target: str, preds: Mapping[str, Any]
) -> list[Path]:
    """Write a file per trial, values clipped to [-1, 1].

    Args:
        folder: of the run; ``predict/`` is made in it.
        partition: 'val' or 'test'.
        target: 'valence' or 'arousal'.
        preds: predictions of each trial, (frames,).

    Returns:
        The files, each written to a temporary name and renamed.

    Raises:
        DataError: a prediction is not finite, or a trial's name is no name of a file; nothing is written.
    """
    place = Path(folder) / FOLDER / _partition(partition) / target
    texts = {}
    for trial, pred in preds.items():
        values = np.asarray(pred, dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise DataError(f'trial {trial}: predictions of {target} are not one finite number per frame')
        if Path(trial).name != trial:
            raise DataError(f'trial {trial!r} cannot be the name of a file')
        texts[trial] = '\n'.join([target, *map(str, np.clip(values, -1.0, 1.0).tolist())]) + '\n'
    for trial, text in texts.items():
        write_text(place / f'{trial}.txt', text)
    return [place / f'{trial}.txt' for trial in texts]


def has_trial_files(folder: Path | str, partition: str, target: str) -> bool:
    """Whether a folder holds files of this partition and target, below ``predict/`` in it."""
    return any((Path(folder) / FOLDER / _partition(partition) / target).glob('*.txt'))


def read_trial_files(folder: Path | str, partition: str, target: str) -> dict[str, np.ndarray]:
    """Read all files of a partition and target, ours or the reference's own.

    Returns:
        (frames,) by trial, in the order of their names.

    Raises:
        DataError: there are none, a header is not the target, or a value is not a finite number; all files
            that are wrong are listed.
    """
    place = Path(folder) / FOLDER / _partition(partition) / target
    preds, problems = {}, []
    for path in sorted(place.glob('*.txt')):
        try:
            preds[path.stem] = _read(path, target)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError('\n'.join([f'{place}: {counted(len(problems), "file")} cannot be used', *problems]))
    if not preds:
        raise DataError(
            f'{place} holds no TRIAL.txt; a run writes them where its config says trial_files = True'
        )
    return preds


def _read(path: Path, target: str) -> np.ndarray:
    header, *lines = read_text(path).splitlines() or ['']
    if header.strip() != target:
        raise DataError(f'{path}: header {header.strip()!r}, expected {target!r}')
    values = np.empty(len(lines))
    for number, line in enumerate(lines):
        try:
            values[number] = float(line)
        except ValueError:
            values[number] = np.nan
        if not np.isfinite(values[number]):
            raise DataError(f'{path}, line {number + 2} (frame {number}): {line!r} is no finite number')
    if not len(values):
        raise DataError(f'{path}: no value below the header')
    return values


def _partition(name: str) -> str:
    if name not in PARTITIONS:
        raise ConfigError(f'no partition {name!r} in trial files; there are {", ".join(PARTITIONS)}')
    return PARTITIONS[name]
