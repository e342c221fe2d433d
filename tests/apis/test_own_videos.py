"""From two clips with made-up labels to a submission, by the command lines alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT, call, call_apart
from extraction.face_clips import FRAMES, clip

from abawfw.datasets.stores import open_store

TINY = ['epochs=2', 'warmup=1', 'window=20', 'hop=15', 'batch_size=4', 'leader_channels=[8,8]']
TINY += ['follower_channels=[4,4]', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0']
TINY += ['model.backbones.face48.width=2']


@pytest.mark.slow
def test_from_videos_to_a_submission(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    langer, single = (shared / f'media/{n}.mp4' for n in ('WolfgangLanger_Pexels', 'single_face'))
    (tmp_path / 'videos').mkdir()
    clip(langer, tmp_path / 'videos/first.mp4')
    clip(langer, tmp_path / 'videos/later.mp4', 100)
    clip(single, tmp_path / 'videos/single.mp4')
    clip(single, tmp_path / 'videos/unknown.mp4', 30)
    rng = np.random.default_rng(0)
    for folder, name, rows in (
        ('Train_Set', 'first', FRAMES + 1),
        ('Train_Set', 'later', FRAMES),
        ('Validation_Set', 'single', FRAMES),
    ):
        labels = 0.8 * np.sin(np.arange(rows)[:, None] / 9 + rng.uniform(0, 6, 2))
        labels[5:8] = -5
        path = tmp_path / f'labels/{folder}/{name}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(['valence,arousal', *(f'{v:.3f},{a:.3f}' for v, a in labels)]))

    features = ['--features', 'face48', 'egemaps', 'mfcc']
    found = call(
        capfd, 'extract_features', 'videos', 'data/own', *features, '--annotations', 'labels', '--jobs', 2
    )
    assert found.code == 0, found.err
    assert '  annotation of first: 41 rows for 40 frames: the last 1 omitted' in found.out.splitlines()
    store = open_store('data/own')
    for video in store.videos():
        assert video.num_frames == FRAMES
        assert store.observed(video.video_id, 'face48', 0, FRAMES).mean() >= 0.95
        assert store.observed(video.video_id, 'egemaps', 0, FRAMES).all()
        assert np.ptp(store.read(video.video_id, 'egemaps', 0, FRAMES), axis=0).max() > 0
    checked = call_apart('check_data', 'data/own')
    assert checked.code == 0, checked.out
    assert ' 0 errors' in f' {checked.out.splitlines()[-1]}'

    config = ROOT / 'configs/own/pixels_own.py'
    found = call_apart('train', config, '--cfg-options', *TINY)
    assert found.code == 0, found.err
    run = Path('work_dirs/pixels_own')
    assert call(capfd, 'test', run).code == 0
    sample = Path('sample.txt')
    rows = [f'unknown/{i + 1:05}.jpg,-5,-5' for i in range(FRAMES)]
    sample.write_text('\n'.join(['image_location,valence,arousal', *rows]) + '\n')
    found = call_apart('ensemble', run, '--out', 'submit/own', '--format', 'abaw', '--sample', sample)
    assert found.code == 0, found.err + found.out
    (submission,) = Path('submit/own').glob('*.txt')
    lines = submission.read_text().splitlines()
    assert [line.split(',')[0] for line in lines] == [
        line.split(',')[0] for line in sample.read_text().splitlines()
    ]
    values = np.array([[float(x) for x in line.split(',')[1:]] for line in lines[1:]])
    assert (np.abs(values) <= 1).all()
    assert np.ptp(values, axis=0).min() > 0
