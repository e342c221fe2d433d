"""Targets that take the same inputs share a pass over the data, and those with the same weights a forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import ROOT
from random_runs import make_run

from abawfw.apis.inferencer import VAInferencer
from abawfw.checkpoints import best_checkpoint, load_checkpoint, save_checkpoint
from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.evaluation.va_metric import VAMetric
from abawfw.models.estimator import VAEstimator

OPTIONS = {'hidden': 8, 'regressor': [4], 'segment_length': 40, 'features': ['affectnet', 'egemaps']}
TARGETS = ('valence', 'arousal')


@pytest.fixture
def run(demo_data: Path, tmp_path: Path) -> Path:
    options = {**OPTIONS, 'data_root': str(demo_data)}
    return make_run(tmp_path / 'run', ROOT / 'configs/rucaim3/fclstm_xl_demo.py', options)


def change(path: Path, **content: Any) -> None:
    stored = load_checkpoint(path)
    save_checkpoint({'meta': stored['meta'], 'state_dict': stored['state_dict'], **content}, path)


def predict(run: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int, int]:
    """Curves of a video of 70 frames, two segments; clips read, and forward passes."""
    counts = {'read': 0, 'forward': 0}
    inferencer = VAInferencer(run, 'cpu')
    rng = np.random.default_rng(0)
    dims = load_checkpoint(best_checkpoint(run, 'ccc_valence'))['meta']['input_dims']
    arrays = {f: rng.normal(size=(70, dims[f])).astype(np.float32) for f in inferencer.features}

    def counted(kind: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            counts[kind] += 1
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(ClipDataset, '__getitem__', counted('read', ClipDataset.__getitem__))
        patch.setattr(VAEstimator, 'forward', counted('forward', VAEstimator.forward))
        table = inferencer.predict_arrays(arrays, fps=30)
    return table, counts['read'], counts['forward']


def test_predictions_that_are_read_later(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the metric holds batches unread, which the next network predicts as well."""
    expected = predict(run, monkeypatch)[0]
    monkeypatch.setattr(VAMetric, 'process', lambda metric, _, batches: metric._unread.extend(batches))
    pd.testing.assert_frame_equal(predict(run, monkeypatch)[0], expected)


def test_what_is_shared(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valence, arousal = (best_checkpoint(run, f'ccc_{t}') for t in TARGETS)
    two, *counts = predict(run, monkeypatch)
    assert counts == [2, 4]  # other weights

    meta = load_checkpoint(arousal)['meta']
    shifted = [{f: (mean + 1, std) for f, (mean, std) in step.items()} for step in meta['fitted']]
    change(arousal, meta={**meta, 'fitted': shifted})
    other, *counts = predict(run, monkeypatch)
    assert counts == [4, 4]  # other statistics
    np.testing.assert_array_equal(other.valence_raw, two.valence_raw)
    assert not np.array_equal(other.arousal_raw, two.arousal_raw)

    weights = load_checkpoint(valence)['state_dict']
    change(arousal, state_dict=weights)
    assert predict(run, monkeypatch)[1:] == (4, 4)
    change(arousal, meta=meta, state_dict=weights)
    one, *counts = predict(run, monkeypatch)
    assert counts == [2, 2]  # the same epoch was best at both
    np.testing.assert_array_equal(one.valence_raw, two.valence_raw)
    assert not np.array_equal(one.arousal_raw, two.arousal_raw)
