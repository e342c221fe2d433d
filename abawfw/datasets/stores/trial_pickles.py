"""The two pickles of the reference's data sets, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from abawfw.datasets.stores.base import VideoInfo
from abawfw.datasets.stores.checks import plain_name
from abawfw.datasets.stores.restricted_pickle import read_pickle
from abawfw.errors import DataError

INFO, STATISTICS = 'dataset_info.pkl', 'mean_std_info.pkl'
LISTS = ('trial', 'length', 'partition')
PARTITION_NAMES = {
    'train': 'train',
    'validate': 'val',
    'validation': 'val',
    'val': 'val',
    'extra': 'test',
    'test': 'test',
}
UNUSED = 'unused'


def read_dataset_info(root: Path) -> list[tuple[VideoInfo, Path]]:
    """Trials that dataset_info.pkl lists, in its order, with their folders; those 'unused' are left out.

    ``data_folder`` tells where the folders of the trials lie, once for all or trial by trial. It is taken
    below ``root``: of a path that leads elsewhere, as from the machine that wrote the file, the last part. A
    trial that is not there is looked for in ``root`` itself.
    Whether a trial has labels is not in the file: it is expected of train and val.

    Raises:
        DataError: the pickle is refused or damaged, a list is missing or of another length, a partition is
            unknown, or a name leads out of the folder.
    """
    path = root / INFO
    info = read_pickle(path)
    if not isinstance(info, Mapping):
        raise DataError(f'{path}: holds {type(info).__name__}, expected a dict of lists {", ".join(LISTS)}')
    if missing := [name for name in LISTS if name not in info]:
        there = ', '.join(map(str, list(info)[:20]))
        raise DataError(f'{path}: no list {", ".join(missing)}; there are {there}')
    columns = {name: _as_list(info[name], f'{path}: {name}') for name in LISTS}
    lengths = {name: len(column) for name, column in columns.items()}
    folder = info.get('data_folder', '')
    if not isinstance(folder, (str, bytes)):
        columns['data_folder'] = _as_list(folder, f'{path}: data_folder')
        lengths['data_folder'] = len(columns['data_folder'])
    else:
        columns['data_folder'] = [folder] * lengths['trial']
    if len(set(lengths.values())) > 1:
        raise DataError(f'{path}: the lists have {lengths} entries, and must have one per trial each')
    trials = []
    for row in zip(*columns.values(), strict=True):
        name = plain_name(_text(row[0], f'{path}: a trial'), path)
        length, partition = row[1], _text(row[2], f'{path}: the partition of trial {name!r}')
        folder = _text(row[3], f'{path}: the data_folder of trial {name!r}')
        if partition == UNUSED:
            continue
        if partition not in PARTITION_NAMES:
            raise DataError(
                f'{path}: trial {name!r} is in partition {partition!r}; '
                f'there are {", ".join(PARTITION_NAMES)} and {UNUSED}'
            )
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
            shown = repr(length)[:40] if isinstance(length, (bool, float, str)) else type(length).__name__
            raise DataError(f'{path}: trial {name!r} has length {shown}, expected a whole number of frames')
        ours = PARTITION_NAMES[partition]
        video = VideoInfo(name, ours, int(length), None, has_labels=ours != 'test')
        trials.append((video, _folder(root, folder, name)))
    return trials


def read_scalar_statistics(root: Path) -> dict[int, dict[str, tuple[float, float]]] | None:
    """Mean and deviation of features over the training trials, by fold and feature; None if not stored.

    One number each for all dimensions of a feature. The file also has those of the other partitions, which
    are not used: they are normalised by those of train (docs/tagf.md, What differs, and why).

    Raises:
        DataError: the pickle is refused or damaged, or a value is no finite number.
    """
    path = root / STATISTICS
    if not path.is_file():
        return None
    content = read_pickle(path)
    try:
        statistics = {
            int(fold): {
                str(feature): (float(values['mean']), float(values['std']))
                for feature, values in partitions['train'].items()
            }
            for fold, partitions in content.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f'{path}: expected {{fold: {{partition: {{feature: {{mean, std}}}}}}}} ({type(error).__name__}: '
            f'{error}); remove this file, and the statistics are computed from the arrays'
        ) from error
    for fold, features in statistics.items():
        for feature, values in features.items():
            if not np.isfinite(values).all() or values[1] < 0:
                raise DataError(
                    f'{path}: fold {fold}, feature {feature!r}: mean and deviation are {values}; remove this '
                    'file, and the statistics are computed from the arrays'
                )
    return statistics


def _text(value: Any, what: str) -> str:
    """A text, which Python 2 may have written as bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode('utf-8')
        except UnicodeDecodeError:
            raise DataError(f'{what} is bytes that are no text; write it again as text') from None
    if not isinstance(value, str):
        raise DataError(f'{what} is {type(value).__name__}, expected text')
    return value


def _as_list(values: Any, what: str) -> list[Any]:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        raise DataError(f'{what} is {type(values).__name__}, expected a list with one entry per trial')
    return list(values)


def _folder(root: Path, data_folder: str, trial: str) -> Path:
    """The folder of a trial: below root in any case, and an existing one where there is a choice."""
    # A path of Windows, of another machine, or one that climbs out: only its last part can be meant.
    parts = PureWindowsPath(data_folder).parts if '\\' in data_folder else PurePosixPath(data_folder).parts
    foreign = PurePosixPath(data_folder).is_absolute() or PureWindowsPath(data_folder).drive or '..' in parts
    parts = tuple(part for part in (parts[-1:] if foreign else parts) if part not in ('..', '/', '\\'))
    places = [root.joinpath(*parts, trial)]
    if parts and parts[-1] == trial:
        places.append(root.joinpath(*parts))  # the list names the folders of the trials themselves
    places.append(root / trial)  # the path was that of the data set, which may have another name by now
    return next((place for place in places if place.is_dir()), places[0])
