"""Trials of random vectors, and a TAGF that is small enough for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from command_line import ROOT
from random_runs import make_run

from abawfw.datasets.stores.trials.writer import TrialWriter

TINY_TAGF = {
    'video_channels': [6, 6],
    'audio_channels': [6, 6],
    'regressor': [16],
    'window': 20,
    'hop': 15,
    'masked': True,
    'split': {'type': 'OfficialSplit'},
}
VECTORS = {'video_embedding': (6,), 'audio_embedding': (5,)}


def write_vectors(
    root: Path,
    trials: Mapping[str, tuple[str, int]],
    dims: Mapping[str, tuple[int, ...]] = VECTORS,
    dtypes: Mapping[str, str] | None = None,
    valid: Callable[[str, int], Mapping[str, np.ndarray]] = lambda name, length: {},
    rates: Mapping[str, float] | None = None,
) -> Path:
    """A store of vectors; all trials but those of test are labelled.

    Args:
        root: folder to make.
        trials: partition and frames of each, by name.
        dims: shape of a frame of each feature.
        dtypes: of features that are no float32.
        valid: from name and frames of a trial, the frames in which features were observed.
        rates: frames per second, of the trials of which they are known.
    """
    rng = np.random.default_rng(0)
    with TrialWriter(root, dims, dtypes) as writer:
        for name, (partition, length) in trials.items():
            arrays = {feature: rng.normal(size=(length, *shape)) for feature, shape in dims.items()}
            labels = None if partition == 'test' else rng.uniform(-1, 1, (length, 2))
            writer.add(name, partition, arrays, labels, valid(name, length), (rates or {}).get(name))
    return root


def tagf_run(folder: Path, trials: Path, fps: list[float] | None = None, **overrides: Any) -> Path:
    """A run of the tiny TAGF on these trials, with random weights."""
    config = ROOT / 'configs/tagf/tagf_embeddings_demo.py'
    return make_run(folder, config, {**TINY_TAGF, 'data_root': str(trials), **overrides}, fps=fps)
