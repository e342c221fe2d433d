"""A teacher's curves come with the clips, whatever loads them; what is not of these clips is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_loader import fingerprint
from test_resident import LANES, LENGTHS, SEGMENTS, build, masked_store

from abawfw.datasets.transforms import LoadPredictions
from abawfw.errors import ConfigError, DataError
from abawfw.prediction_files import file_name
from abawfw.results.predictions import write_predictions

TARGETS = ('valence', 'arousal')
Curves = dict[str, np.ndarray]


def curves(lengths: list[int]) -> Curves:
    """Valence and arousal of the videos of `MemoryStore`, (frames, 2)."""
    rng = np.random.default_rng(5)
    return {f'v{i}': rng.uniform(-1, 1, (n, 2)) for i, n in enumerate(lengths)}


def write(folder: Path, of: Curves) -> Path:
    for column, target in enumerate(TARGETS):
        preds = {video: values[:, column] for video, values in of.items()}
        write_predictions(folder / 'predictions', 'train', target, preds, None, 1)
    return folder


@pytest.fixture(scope='module')
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp('teacher'), curves(LENGTHS))


def load(teacher: Path, **more: Any) -> dict[str, Any]:
    return {'type': 'LoadPredictions', 'teacher': str(teacher), 'targets': TARGETS, **more}


@pytest.mark.parametrize('case', ['windows', 'lanes'])
def test_resident_and_streamed_batches_hold_the_same_curves(case: str, teacher: Path) -> None:
    """Overlapping windows that share frames, padding, and fillers of a rank that has fewer clips."""
    given = {} if case == 'windows' else {'sampler': LANES, 'clips': SEGMENTS}
    more = [load(teacher), {'type': 'PadTo', 'length': 8}]
    expected, of = curves(LENGTHS), masked_store()
    for ranks, rank in ((1, 0), (3, 2)):
        found = []
        for loading in ('Stream', 'Resident'):
            loader = build(loading, of, *more, rank=rank, ranks=ranks, **given)
            loader.batch_sampler.set_epoch(1)
            batches = list(loader)
            found.append([fingerprint(batch) for batch in batches])
        assert found[0] == found[1]
        for record in (batch['data_samples'] for batch in batches):
            for row, video in enumerate(record.video_id):
                start, n = record.start[row], record.num_frames[row]
                ours = record.teacher_va[row]
                np.testing.assert_array_equal(ours[:n], expected[video][start : start + n].astype(np.float32))
                assert ours[n:].isnan().all()


def test_one_target_and_another_stage(teacher: Path) -> None:
    """The column of a target that is not read holds nothing; smoothed curves are those of their file."""
    loader = build('Stream', None, load(teacher, targets=['arousal'], stage='smoothed'))
    record = next(iter(loader))['data_samples']
    assert record.teacher_va[..., 0].isnan().all()
    stored = json.loads((teacher / 'predictions' / file_name('train', 'arousal', 'smoothed')).read_text())
    n, start = record.num_frames[0], record.start[0]
    theirs = np.float32(stored[record.video_id[0]]['pred'][start : start + n])
    np.testing.assert_array_equal(record.teacher_va[0, :n, 1], theirs)
    assert len(record.to('meta').teacher_va) == len(record)


def test_without_a_teacher_there_is_none() -> None:
    assert next(iter(build('Resident')))['data_samples'].teacher_va is None


def spoil(folder: Path, case: str) -> None:
    """Change the predictions of valence."""
    path = folder / 'predictions' / file_name('train', 'valence', 'clipped')
    content = json.loads(path.read_text())
    if case == 'NaN':
        content['v2']['pred'][7] = float('nan')
    elif case == 'other length in one':
        content['v1']['pred'].append(0.0)
    elif case == 'other video in one':
        del content['v3']
    path.write_text(json.dumps(content))
    if case == 'half-written':
        (folder / 'predictions/incomplete.txt').write_text('train valence\n')
    elif case == 'missing':
        path.unlink()


CASES = {
    'NaN': 'video v2, frame 7: "pred" is nan, which is not a number in [-1, 1]',
    'other length in one': 'video v1: predictions of train differ between targets: only 4 frames of valence',
    'other video in one': 'video v3: predictions of train differ between targets: only 6 frames of arousal',
    'half-written': 'a test was interrupted while it wrote valence of train',
    'missing': 'nosmooth.json is missing; it is made by: python tools/test.py RUN --partition train. '
    'Instead of clipped predictions, there are raw and smoothed ones.',
    'other videos': 'predictions of train are of other videos: 2 videos of 8 not among them: v6, v7;',
    'other lengths': 'other numbers of frames than the data: v0 (22 there, 21 in the data), v4 (2 there,',
}


@pytest.mark.parametrize('case', CASES)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    of = curves(LENGTHS)
    if case == 'other videos':
        of = {video: x for video, x in of.items() if video not in ('v6', 'v7')} | {'w': np.zeros((3, 2))}
    elif case == 'other lengths':
        of |= {video: np.zeros((len(of[video]) + 1, 2)) for video in ('v0', 'v4')}
    spoil(write(tmp_path, of), case)
    with pytest.raises((DataError, ConfigError)) as refused:
        build('Stream', None, load(tmp_path))
    assert CASES[case] in str(refused.value)


def test_padding_comes_after(teacher: Path) -> None:
    loader = build('Stream', None, {'type': 'PadTo', 'length': 8}, load(teacher))
    with pytest.raises(ConfigError, match='put PadTo after it'):
        next(iter(loader))


def test_the_teacher_is_read_once(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is opened for a clip, so that a run goes on as it began whatever becomes of the files."""
    transform = LoadPredictions(str(teacher), TARGETS)
    monkeypatch.setattr(Path, 'open', None)
    monkeypatch.setattr(Path, 'read_bytes', None)
    loader = build('Stream')
    clip = loader.dataset.clips[0]
    video = loader.dataset.videos[clip.video]
    found = transform({'clip': clip, 'video': video, 'valid': np.ones(clip.stop - clip.start)})
    assert torch.from_numpy(found['teacher_va']).dtype == torch.float32
