"""A small data set as the reference's preprocessing leaves it, to be spoilt by tests."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

TRIALS = {'b': (5, 'train'), 'a': (7, 'train'), 'x': (3, 'unused'), 'd': (6, 'extra'), 'c': (4, 'validate')}
"""Name: (frames, partition), in the order of dataset_info.pkl."""


def write_trials(
    root: Path, trials: dict[str, tuple[int, str]] | None = None, folder: str = 'compacted_48', **info: Any
) -> Path:
    """Folders of arrays and dataset_info.pkl; ``info`` replaces entries of the latter."""
    trials = TRIALS if trials is None else trials
    rng = np.random.default_rng(0)
    for name, (frames, partition) in trials.items():
        if partition == 'unused':
            continue
        place = root / folder / name
        place.mkdir(parents=True)
        np.save(place / 'video.npy', rng.integers(1, 255, (frames, 6, 6, 3), dtype=np.uint8))
        np.save(place / 'logmel.npy', rng.normal(size=(frames, 4, 2)).astype(np.float16))
        np.save(place / 'bert.npy', rng.normal(size=(frames, 5)))  # float64
        np.save(place / 'mfcc.npy', np.asfortranarray(rng.normal(size=(frames, 3)).astype(np.float32)))
        if partition != 'extra':
            np.save(place / 'VA_continuous_label.npy', rng.uniform(-1, 1, (frames, 2)))
    lists = {
        'trial': list(trials),
        'length': [np.int64(frames) for frames, _ in trials.values()],
        'partition': [partition for _, partition in trials.values()],
        'multiplier': {'video': 1},
        'data_folder': folder,
    }
    write_pickle(root, lists | info)
    return root


def write_pickle(root: Path, content: Any, name: str = 'dataset_info') -> None:
    """Replace a pickle of a data set, named without its suffix."""
    with (root / f'{name}.pkl').open('wb') as file:
        pickle.dump(content, file)


def array(root: Path, trial: str, name: str) -> np.ndarray:
    """An array of a trial as it lies on disk."""
    return np.load(root / 'compacted_48' / trial / f'{name}.npy')


def replace(root: Path, trial: str, name: str, values: np.ndarray) -> None:
    """Write another array in the place of one."""
    np.save(root / 'compacted_48' / trial / f'{name}.npy', values, allow_pickle=True)
