"""What is said of training data: features that are not normalised, and modalities missing altogether."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abawfw.apis.train import never_observed, not_normalised
from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.trials.files import TrialArray
from abawfw.datasets.stores.trials.store import TrialStore
from abawfw.datasets.stores.trials.writer import TrialWriter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training trials, in 'b' no face, in 'c' a face in one frame, and a validation trial without."""
    with TrialWriter(tmp_path / 'store', {'face': (3,), 'sound': (2,)}) as writer:
        for name, partition, seen in (
            ('a', 'train', 4),
            ('b', 'train', 0),
            ('c', 'train', 1),
            ('d', 'val', 0),
        ):
            inputs = {'face': np.ones((4, 3)), 'sound': np.ones((4, 2))}
            writer.add(name, partition, inputs, np.zeros((4, 2)), {'face': np.arange(4) < seen})
    return tmp_path / 'store'


def lines(store: Path, masked: bool = True, features: tuple[str, ...] = ('face', 'sound')) -> list[str]:
    pipeline = [{'type': 'LoadFeatures', 'masked': masked}, {'type': 'PackVA'}]
    clips = {'type': 'SlidingWindow', 'length': 4, 'hop': 4}
    return never_observed(ClipDataset(str(store), features, 'train', clips, pipeline))


def test_a_line_names_feature_and_videos(root: Path, tmp_path: Path) -> None:
    expected = ['masked: in 1 of 3 training videos face was never observed: b']
    assert lines(root) == expected
    assert lines(root, masked=False) == []
    pack_store(TrialStore(root), tmp_path / 'packed')
    assert lines(tmp_path / 'packed') == expected


def test_no_pass_over_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TrialWriter(tmp_path / 'store', {'video': (2, 2, 3)}, {'video': 'uint8'}) as writer:
        writer.add('a', 'train', {'video': np.zeros((4, 2, 2, 3), np.uint8)}, np.zeros((4, 2)))
    monkeypatch.setattr(TrialArray, 'read', None)
    assert lines(tmp_path / 'store', features=('video',)) == []


@pytest.mark.parametrize(
    ('normalised', 'left'), [([], 'face, sound'), (['face'], 'sound'), (['face', 'sound'], '')]
)
def test_vectors_that_come_as_the_store_has_them(root: Path, normalised: list[str], left: str) -> None:
    pipeline = [
        {'type': 'LoadFeatures'},
        {'type': 'Normalize', 'method': 'train', 'features': normalised},
        {'type': 'PackVA'},
    ]
    clips = {'type': 'SlidingWindow', 'length': 4, 'hop': 4}
    found = not_normalised(ClipDataset(str(root), ('face', 'sound'), 'train', clips, pipeline))
    assert found == ([f'not normalised: {left} (normalized = [...] names what is to be)'] if left else [])
