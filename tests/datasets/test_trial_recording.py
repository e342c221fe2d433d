"""What check_data says of times and faces, and how extraction settings travel with a store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_trials import write_trials

from abawfw.datasets.checking.check import check_store
from abawfw.datasets.stores import TrialStore, open_store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_trials(tmp_path / 'data')


def found(root: Path, *checks: str) -> list[tuple[str, str, str]]:
    report = check_store(TrialStore, root)
    return [(p.severity, p.video_id, p.text) for p in report.problems if p.check in checks]


def track(root: Path, trial: str, found: list[int], filled: list[int]) -> None:
    arrays = {'found': np.array(found, bool), 'filled': np.array(filled, bool)}
    np.savez(root / f'compacted_48/{trial}/face_track.npz', **arrays)


def times(root: Path, trial: str, values: list[float]) -> None:
    np.save(root / f'compacted_48/{trial}/frame_times.npy', np.array(values))


def test_times_are_no_feature(root: Path) -> None:
    before = TrialStore(root).feature_names()
    for trial, frames in {'a': 7, 'b': 5, 'c': 4, 'd': 6}.items():
        times(root, trial, list(np.arange(frames) / 30))
    assert TrialStore(root).feature_names() == before
    assert found(root, 'times', 'faces', 'unreadable', 'missing') == []


def test_irregular_and_wrong_times(root: Path) -> None:
    times(root, 'a', [0, 0.1, 0.2, 0.5, 0.6, 0.64, 0.74])
    times(root, 'b', [0, 0.1, 0.1, 0.05, 0.2])
    times(root, 'c', [0, 0.1, 0.2])
    assert found(root, 'times') == [
        (
            'error',
            'b',
            '2 frames are not later than the one before, first frame 2 at 0.1 s after 0.1 s; write the video '
            'again with increasing times',
        ),
        (
            'error',
            'c',
            f'{root}/compacted_48/c/frame_times.npy: float64 of shape (3,), expected float64 of (4,); '
            'extract it again',
        ),
        (
            'note',
            'a',
            'irregular: 2 of 6 steps differ from the usual 100.0 ms by more than half of it, the longest '
            '0.3 s after frame 2',
        ),
    ]


def test_frames_without_a_face(root: Path) -> None:
    track(root, 'a', [0, 0, 1, 1, 0, 1, 0], [0, 0, 0, 0, 1, 0, 0])
    track(root, 'b', [1] * 5, [0] * 5)
    assert found(root, 'faces') == [
        (
            'note',
            'a',
            'no face in 3 of 7 frames, in 2 runs, the longest 2 frames; first in frame 0; held over a short '
            'gap in 1 more',
        )
    ]
    track(root, 'b', [1] * 4, [0] * 4)
    path = root / 'compacted_48/a/face_track.npz'
    path.write_bytes(path.read_bytes()[:100])
    problems = found(root, 'unreadable')
    assert [(severity, video) for severity, video, _ in problems] == [('error', 'b'), ('error', 'a')]
    assert 'bool of shape (4,), expected bool of (5,)' in problems[0][2]
    assert 'face_track.npz: damaged' in problems[1][2]


def test_settings_of_extractors(root: Path, tmp_path: Path) -> None:
    assert TrialStore(root).extraction == {}
    settings = {'mfcc': {'step': 0.01}, 'bert': {'layers': [1, 2]}, 'faces': {'detector': 'D'}}
    (root / 'extraction.json').write_text(json.dumps(settings))
    store = open_store(root)
    assert store.extraction == settings
    packed = pack_store(store, tmp_path / 'packed', features=['mfcc'])
    assert packed.extraction == {'mfcc': {'step': 0.01}, 'faces': {'detector': 'D'}}
    unknown = pack_store(open_store(write_trials(tmp_path / 'other')), tmp_path / 'unknown')
    assert not (unknown.root / 'extraction.json').exists()
    for text in ('{"mfcc": ', '[]', '{"mfcc": 3}'):
        (root / 'extraction.json').write_text(text)
        with pytest.raises(DataError, match=r'extraction\.json'):
            _ = TrialStore(root).extraction
