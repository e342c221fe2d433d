from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tool_here import tool_here

from abawfw.apis.check_data import check_data
from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.demo.signals import DemoSummary
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.datasets.loader import one_clip
from abawfw.datasets.splits import BalancedKFold, RolledKFold
from abawfw.datasets.stores import TrialStore
from abawfw.errors import ConfigError
from abawfw.evaluation.functional import ccc


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TrialStore, DemoSummary]]:
    root = tmp_path_factory.mktemp('demo') / 'trials'
    summary = make_demo_trials(root)
    yield TrialStore(root), summary
    shutil.rmtree(root)  # pytest would keep it for three more runs


def small(feature: str, values: np.ndarray) -> np.ndarray:
    """Values per frame, (frames, numbers), few enough for a regression."""
    if feature == 'video':
        values = values[:, ::2, ::2].mean(axis=-1)
    elif feature == 'logmel':
        values = values[:, ::12, ::4]
    return values.reshape(len(values), -1).astype(np.float64)


def learnt(store: TrialStore, feature: str, observed: bool = True) -> list[float]:
    """CCC on val of a ridge regression from single frames of train."""

    def design(partition: str) -> tuple[np.ndarray, np.ndarray]:
        rows, targets = [], []
        for video in store.videos():
            if video.partition != partition:
                continue
            whole = (video.video_id, 0, video.num_frames)
            labels = store.labels(*whole)
            usable = ~np.isnan(labels).any(axis=1)
            if observed:
                usable &= store.observed(video.video_id, feature, 0, video.num_frames)
            rows.append(small(feature, store.read(video.video_id, feature, 0, video.num_frames))[usable])
            targets.append(labels[usable])
        return np.concatenate(rows), np.concatenate(targets)

    rows, targets = design('train')
    mean, std, middle = rows.mean(axis=0), rows.std(axis=0) + 1e-6, targets.mean(axis=0)
    rows = (rows - mean) / std
    weights = np.linalg.solve(rows.T @ rows + 3000 * np.eye(rows.shape[1]), rows.T @ (targets - middle))
    rows, targets = design('val')
    predicted = (rows - mean) / std @ weights + middle
    return [ccc(targets[:, k], predicted[:, k]) for k in range(2)]


def test_default_size_layout_and_lengths(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, summary = demo
    assert summary.videos == {'train': 12, 'val': 4, 'test': 3}
    assert {name: (info.dims, info.dtype) for name, info in store.features().items()} == {
        'video': ((48, 48, 3), 'uint8'),
        'logmel': ((96, 64), 'float16'),
        'video_embedding': ((512,), 'float32'),
        'audio_embedding': ((128,), 'float32'),
        'vggish': ((128,), 'float32'),
        'bert': ((768,), 'float32'),
    }
    lengths = [video.num_frames for video in store.videos()]
    assert min(lengths) == 150
    assert sum(n < 300 for n in lengths) >= 5
    assert sum(n > 300 for n in lengths) >= 3
    assert summary.frames['train'] == sum(v.num_frames for v in store.videos() if v.partition == 'train')
    assert sum(path.stat().st_size for path in store.root.rglob('*.npy')) < 150e6
    assert [v.has_labels for v in store.videos()] == [True] * 16 + [False] * 3
    assert all(v.fps and 15 <= v.fps <= 30 for v in store.videos())


def test_it_is_sound_but_for_what_real_data_have_too(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, summary = demo
    report = check_data(store.root)
    assert (report.count('error'), report.count('warning')) == (0, 0)
    assert {p.video_id for p in report.problems if p.check == 'no label'} == set(summary.unlabelled_runs)
    assert {p.video_id for p in report.problems if p.check == 'constant label'} == {summary.constant}


@pytest.mark.parametrize(
    ('feature', 'least'), [('video', 0.3), ('video_embedding', 0.45), ('logmel', 0.25), ('vggish', 0.15)]
)
def test_what_is_seen_and_heard_tells_the_labels(
    demo: tuple[TrialStore, DemoSummary], feature: str, least: float
) -> None:
    found = learnt(demo[0], feature)
    assert min(found) > least, found
    assert min(found) < 0.95, found  # something is left for temporal models


def test_a_missing_face_is_black_and_its_embedding_says_nothing(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, _ = demo
    missing, pictures, vectors = 0, [], []
    for video in store.videos():
        whole = (0, video.num_frames)
        observed = store.observed(video.video_id, 'video', *whole)
        np.testing.assert_array_equal(store.observed(video.video_id, 'video_embedding', *whole), observed)
        picture = store.read(video.video_id, 'video', *whole)
        vector = store.read(video.video_id, 'video_embedding', *whole)
        np.testing.assert_array_equal(picture.any(axis=(1, 2, 3)), observed)
        np.testing.assert_allclose(np.linalg.norm(vector, axis=1), 1, atol=1e-5)
        assert store.observed(video.video_id, 'logmel', *whole).all()
        missing += np.count_nonzero(~observed)
        pictures.append(picture[observed])
        vectors.append(vector[~observed])
    assert 0.01 < missing / sum(v.num_frames for v in store.videos()) < 0.12
    black = np.concatenate(vectors)
    assert len(black) == missing
    assert (black == black[0]).all()
    assert np.concatenate(pictures).std() > 20


def test_more_faces_can_be_missing(tmp_path: Path) -> None:
    for missing in (0, 5):
        make_demo_trials(tmp_path / str(missing), videos=(6, 2, 0), scale=0.02, missing=missing)
    share = {}
    for missing in (0, 5):
        store = TrialStore(tmp_path / str(missing))
        masks = [store.observed(v.video_id, 'video', 0, v.num_frames) for v in store.videos()]
        share[missing] = 1 - np.concatenate(masks).mean()
    assert share[0] == 0
    assert 0.15 < share[5] < 0.4


def test_two_persons_of_one_recording_share_its_sound(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, _ = demo
    pair = [v for v in store.videos() if v.video_id.endswith(('_left', '_right'))]
    assert [v.video_id for v in pair] == ['train_10_left', 'train_10_right']
    left, right = pair
    assert (left.num_frames, left.fps, left.partition) == (right.num_frames, right.fps, 'train')
    for name in store.features():
        a, b = (store.read(v.video_id, name, 0, v.num_frames) for v in pair)
        assert np.array_equal(a, b) == (name in ('logmel', 'vggish', 'audio_embedding', 'bert'))


def test_log_mel_windows_start_at_their_frames(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, _ = demo
    video = next(v for v in store.videos() if v.fps == 25)  # four mel frames per video frame
    logmel = store.read(video.video_id, 'logmel', 0, 60)
    np.testing.assert_array_equal(logmel[10, 0], logmel[0, 40])
    np.testing.assert_array_equal(logmel[1:, :-4], logmel[:-1, 4:])


def test_words_last_and_leave_pauses(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, _ = demo
    words = np.concatenate([store.read(v.video_id, 'bert', 0, v.num_frames) for v in store.videos()])
    silent = ~words.any(axis=1)
    assert 0.2 < silent.mean() < 0.7
    held = (words[1:] == words[:-1]).all(axis=1) & ~silent[1:]
    assert held.sum() / (~silent).sum() > 0.6


def test_all_folds_can_be_made_of_it(demo: tuple[TrialStore, DemoSummary]) -> None:
    store, _ = demo
    for fold in range(6):
        balanced = BalancedKFold(fold)
        balanced.fit(store)
        for split in (RolledKFold(fold), balanced):
            val = {v.video_id for v in split.videos(store.videos(), 'val')}
            assert 1 <= len(val) <= 6
            if isinstance(split, BalancedKFold):
                assert len(val & {'train_10_left', 'train_10_right'}) in (0, 2)


def test_clips_of_pixels_reach_the_model(demo: tuple[TrialStore, DemoSummary]) -> None:
    clips = ClipDataset(
        demo[0],
        ['video', 'logmel'],
        'train',
        {'type': 'SlidingWindow', 'length': 300, 'hop': 200},
        [
            {'type': 'LoadFeatures', 'masked': True},
            {'type': 'RandomCropFlip', 'features': ['video']},
            {'type': 'PadTo', 'length': 300},
            {'type': 'PackVA'},
        ],
        {'type': 'RolledKFold', 'fold': 2},
    )
    batch = one_clip(clips, ClipRequest(0))
    assert {name: (tuple(x.shape), str(x.dtype)) for name, x in batch['inputs'].items()} == {
        'video': ((1, 300, 40, 40, 3), 'torch.uint8'),
        'logmel': ((1, 300, 96, 64), 'torch.float16'),
    }
    assert len(clips) > 10


def test_same_seed_same_data_other_seed_other_data(tmp_path: Path) -> None:
    for folder, seed in (('a', 5), ('b', 5), ('c', 6)):
        make_demo_trials(tmp_path / folder, seed, (2, 2, 1), 0.01)
    files = sorted(p.relative_to(tmp_path / 'a') for p in (tmp_path / 'a').rglob('*') if p.is_file())
    assert len(files) == 5 * 8 + 4 + 1
    for file in files:
        assert (tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes()
    video = files[[f.name for f in files].index('video.npy')]
    assert (tmp_path / 'a' / video).read_bytes() != (tmp_path / 'c' / video).read_bytes()


@pytest.mark.parametrize(
    'arguments', [{'videos': (1, 2, 0)}, {'videos': (2, 1, 0)}, {'scale': 0}, {'missing': -1}]
)
def test_too_few_trials_are_refused(tmp_path: Path, arguments: dict) -> None:
    with pytest.raises(ConfigError):
        make_demo_trials(tmp_path / 'data', **arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_tool_writes_trials(tmp_path: Path) -> None:
    done = tool_here(
        'make_demo_data', tmp_path / 'data', '--layout', 'trials', '--videos', 2, 2, 1, '--missing', 3
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'train    2 videos' in done.stdout
    assert len(TrialStore(tmp_path / 'data').videos()) == 5
    wrong = tool_here('make_demo_data', tmp_path / 'other', '--missing', 3)
    assert wrong.returncode == 2
    assert '--missing needs --layout trials' in wrong.stderr
