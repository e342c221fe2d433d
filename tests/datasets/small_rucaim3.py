"""A small data set in the HDF5 layout, to be spoilt by tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np


def write_rucaim3(root: Path, lengths: dict[str, dict[str, int]], dims: int = 3) -> Path:
    """A small data set: {partition: {video: frames}}; test has no labels."""
    rng = np.random.default_rng(0)
    (root / 'targets').mkdir(parents=True)
    (root / 'features').mkdir()
    for partition, videos in lengths.items():
        with (
            h5py.File(root / 'targets' / f'{partition}_valid_targets.h5', 'w', track_order=True) as targets,
            h5py.File(root / 'features' / f'{partition}_face_pose.h5', 'w') as features,
        ):
            for video, frames in videos.items():
                targets[f'{video}/length'] = frames
                if partition != 'test':
                    targets[f'{video}/valence'] = rng.uniform(-1, 1, frames).astype(np.float32)
                    targets[f'{video}/arousal'] = rng.uniform(-1, 1, frames).astype(np.float32)
                features[f'{video}/fts'] = rng.normal(size=(frames, dims)).astype(np.float32)
    return root


def edit(root: Path, name: str, change: Callable[[h5py.File], object]) -> None:
    """Change one file of a data set, named without its suffix."""
    with h5py.File(root / f'{name}.h5', 'r+') as file:
        change(file)
