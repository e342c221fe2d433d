"""python tools/fuse_raters.py: from files of raters to labels that the importer takes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from command_line import Outcome, call
from evaluation.made_ratings import course
from extraction.made_videos import constant_rate, plain, write_video
from tool_here import tool_here

from abawfw.apis.fuse_raters import fuse_raters
from abawfw.apis.rater_frames import VideoFrames
from abawfw.datasets.importers.affwild2 import convert_affwild2
from abawfw.datasets.importers.affwild2_files import read_annotation
from abawfw.datasets.stores import RUCAIM3Store
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import ConfigError, DataError

FPS, FRAMES = 25, 500
AT_RATE = ('--fps', FPS, '--frames', FRAMES)


def write(
    folder: Path, video: str, rater: str, values: np.ndarray, number: int = 1, start: float = 0
) -> Path:
    """A file of (rows, 1 or 2) values, 25 a second from ``start`` on."""
    folder.mkdir(exist_ok=True)
    path = folder / f'{video}.{rater}.{number}.csv'
    columns = ['valence', 'arousal'][: values.shape[1]]
    times = start + np.arange(len(values)) / FPS
    pd.DataFrame(values, columns=columns).assign(time=times).to_csv(path, index=False)
    return path


def rated(folder: Path, videos: int = 6, raters: str = 'abc', seed: int = 0) -> Path:
    """Raters who agree but for some noise; those called x rate something else."""
    rng = np.random.default_rng(seed)
    for i in range(videos):
        true = np.stack([course(rng, FRAMES, FPS) for _ in range(2)], axis=1)
        for rater in raters:
            own = np.stack([course(rng, FRAMES, FPS) for _ in range(2)], axis=1)
            values = own if rater == 'x' else true + 0.2 * own
            write(folder, f'v{i}', rater, np.clip(0.6 * values, -1, 1))
    return folder


@pytest.fixture
def fuse(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Calls the command line on ``tmp_path / 'ratings'``."""

    def fused(*options: object, out: str = 'fused') -> Outcome:
        return call(capfd, 'fuse_raters', tmp_path / 'ratings', '--out', tmp_path / out, *options)

    return fused


def test_the_importer_takes_the_labels(tmp_path: Path, fuse) -> None:
    rated(tmp_path / 'ratings')
    done = fuse(*AT_RATE)
    assert (done.code, done.err) == (0, '')
    assert 'valence, each rater with the mean of the others; intervals over 6 videos' in done.out
    assert 'note: Validation_Set: v5, the last fifth of the videos; move files to choose others' in done.out
    fused = tmp_path / 'fused'
    assert {p.name for p in fused.iterdir()} == {
        'Train_Set',
        'Validation_Set',
        'agreement.csv',
        'raters.html',
    }
    (tmp_path / 'face').mkdir()
    for i in range(6):
        np.save(tmp_path / f'face/v{i}.npy', np.zeros((FRAMES, 2), np.float32))
    report = convert_affwild2(fused, tmp_path / 'store', {'face': tmp_path / 'face'})
    assert report.videos['train'] == ('v0', 'v1', 'v2', 'v3', 'v4')
    store = RUCAIM3Store(tmp_path / 'store')
    for i in range(6):
        files = [pd.read_csv(tmp_path / f'ratings/v{i}.{rater}.1.csv') for rater in 'abc']
        mean = np.mean([of[['valence', 'arousal']].to_numpy() for of in files], axis=0)
        np.testing.assert_allclose(store.labels(f'v{i}', 0, FRAMES), mean, atol=1e-5)


def test_the_table_has_everything(tmp_path: Path, fuse) -> None:
    rated(tmp_path / 'ratings', videos=6, raters='abcx')
    done = fuse(*AT_RATE, '--fusion', 'EvaluatorWeightedMean')
    assert done.code == 0
    assert 'warning: valence: x disagrees: ' in done.out
    table = pd.read_csv(tmp_path / 'fused/agreement.csv')
    assert len(table) == 2 * 7 * 5
    whole = table[table.video.isna()].set_index(['target', 'rater'])
    assert whole.loc['valence'].weight.idxmin() == 'x'
    assert whole.loc[('valence', 'a b c x')].alpha_low < whole.loc[('valence', 'a b c x')].alpha
    assert (whole.loc['arousal'].loc[list('abc')].ccc_low < whole.loc['arousal'].loc[list('abc')].ccc).all()
    assert whole.loc[('arousal', 'a')].delay == pytest.approx(0, abs=0.1)
    one = table[(table.video == 'v3') & (table.target == 'arousal')].set_index('rater')
    x = np.stack([pd.read_csv(tmp_path / f'ratings/v3.{rater}.1.csv').arousal for rater in 'abcx'])
    assert one.loc['a'].pcc == pytest.approx(np.corrcoef(x[0], x[1:].mean(axis=0))[0, 1], abs=1e-9)
    assert np.isnan(one.loc['a'].pcc_low)


def test_a_rule_can_be_chosen(tmp_path: Path, fuse) -> None:
    rated(tmp_path / 'ratings', videos=2)
    assert fuse(*AT_RATE, '--fusion', 'DelayCorrectedMean', '--max-delay', 2).code == 0
    assert 'made by DelayCorrectedMean' in (tmp_path / 'fused/raters.html').read_text()
    labels = read_annotation(tmp_path / 'fused/Train_Set/v0.txt')
    assert labels.shape == (FRAMES, 2)
    assert np.isfinite(labels[5:-5]).all()


def test_frames_of_videos_and_of_a_store(tmp_path: Path, fuse) -> None:
    rated(tmp_path / 'ratings', videos=2)
    for i, frames in ((0, 100), (1, 120)):  # 20 frames a second, and ratings as long as these
        path = tmp_path / f'ratings/v{i}.mp4'
        write_video(path, plain(frames, (32, 32)), constant_rate(frames, 20))
        for rater in 'abc':
            file = path.with_name(f'v{i}.{rater}.1.csv')
            file.write_text(''.join(file.read_text().splitlines(True)[: 1 + frames * FPS // 20]))
    assert fuse().code == 0  # videos lie among the files
    first = pd.read_csv(tmp_path / 'fused/Train_Set/v0.txt')
    assert len(first) == 100
    given = np.mean([pd.read_csv(tmp_path / f'ratings/v0.{r}.1.csv').valence for r in 'abc'], axis=0)
    expected = np.interp(np.arange(100) / 20, np.arange(125) / FPS, given)
    np.testing.assert_allclose(first.valence, expected, atol=1e-5)
    with RUCAIM3Writer(tmp_path / 'store', {'face': (1,)}) as writer:
        for name, partition, frames in (('v0', 'val', 100), ('v1', 'train', 120), ('v2', 'test', 5)):
            writer.add(name, partition, {'face': np.zeros((frames, 1))}, fps=20.0)
    assert fuse('--store', tmp_path / 'store', out='of_store').code == 0
    again = (tmp_path / 'of_store/Validation_Set/v0.txt').read_text()
    assert again == (tmp_path / 'fused/Train_Set/v0.txt').read_text()
    assert (tmp_path / 'of_store/Train_Set/v1.txt').is_file()


def wrong(done: Outcome, folder: Path) -> str:
    """The one problem that was found; nothing was written."""
    assert done.code == 2, done
    assert [p.name for p in folder.iterdir() if 'fused' in p.name] == []
    (line,) = [line for line in done.err.splitlines() if line.startswith('  ')]
    return line.strip()


def test_passes_are_joined_and_must_not_overlap(tmp_path: Path, fuse) -> None:
    rng = np.random.default_rng(0)
    whole = 0.5 * course(rng, FRAMES, FPS)[:, None]
    folder = tmp_path / 'ratings'
    write(folder, 'v', 'a', np.hstack([whole, whole]))
    first = write(folder, 'v', 'b', whole[:300])
    second = write(folder, 'v', 'b', whole[300:], 2, start=12)
    arousal = write(folder, 'v', 'b', whole, 3)  # of the other target: another matter
    arousal.write_text(arousal.read_text().replace('valence', 'arousal'))
    assert fuse(*AT_RATE).code == 0
    label = read_annotation(tmp_path / 'fused/Train_Set/v.txt')
    np.testing.assert_allclose(label, np.hstack([whole, whole]), atol=1e-5)
    second = write(folder, 'v', 'b', whole[250:], 2, start=10)
    done = fuse(*AT_RATE, out='again')
    assert done.code == 2
    where = f'{second}: line 2: b has rated valence from 10.00 to 11.96 s in {first} too: remove from one'
    assert where in done.err
    assert not (tmp_path / 'again').exists()


def test_a_file_of_another_video(tmp_path: Path, fuse) -> None:
    folder = rated(tmp_path / 'ratings', videos=1, raters='ab')
    longer = write(folder, 'v0', 'c', np.zeros((700, 1)))
    text = wrong(fuse(*AT_RATE), tmp_path)
    said = 'rated at 21.00 s, and v0 has its last frame at 19.96 s: a file of another video?'
    assert text == f'{longer}: line 527: {said}'
    longer.unlink()
    rows = folder / 'v0.c.1.txt'
    rows.write_text('valence,arousal\n' + '0,0\n' * 400)
    assert wrong(fuse(*AT_RATE), tmp_path).startswith(
        f'{rows}: line 401: 400 rows of frames, and v0 has 500: a file of another video'
    )
    rows.unlink()
    alone, near = (folder / f'v0.{rater}.1.txt' for rater in 'de')
    alone.write_text('valence,arousal\n' + '0.1,0\n' * 502)  # frames may differ by two
    near.write_text('valence,arousal\n' + '0.1,0\n' * 498)
    said = fuse(*AT_RATE, out='noted').out
    assert f'note: {alone}: 502 rows for 500 frames: the last 2 omitted\n' in said
    assert f'note: {near}: 498 rows for 500 frames: no rating of the last 2 frames\n' in said
    second = folder / 'v0.d.2.txt'
    second.write_text('valence,arousal\n' + '-5,-5\n' * 200 + '0.2,0\n' * 300)
    assert f'{second}: line 202: d has rated valence from 8.00 to 19.96 s' in fuse(*AT_RATE).err
    for path in (alone, near, second):
        path.unlink()
    with RUCAIM3Writer(tmp_path / 'store', {'face': (1,)}) as writer:
        writer.add('v1', 'train', {'face': np.zeros((FRAMES, 1))})
    text = wrong(fuse('--store', tmp_path / 'store'), tmp_path)
    assert text.startswith(f"{folder / 'v0.a.1.csv'}: rates the video 'v0', which is not in")
    assert text.endswith('there are: v1')
    (folder / 'v0.a.1.csv').rename(folder / 'v1.a.1.csv')
    (folder / 'v0.b.1.csv').unlink()
    assert wrong(fuse('--store', tmp_path / 'store'), tmp_path).endswith('does not know: give --fps')
    with RUCAIM3Writer(tmp_path / 'timed', {'face': (1,)}) as writer:
        writer.add('v1', 'train', {'face': np.zeros((FRAMES, 1))}, fps=FPS)
    done = fuse('--store', tmp_path / 'timed', '--fps', FPS)
    assert done.code == 2
    assert done.err == f'error: {tmp_path}/timed says when the frames of its videos are: omit --fps\n'


def test_one_rater_one_who_never_moves_and_one_target(tmp_path: Path, fuse) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / 'ratings'
    alone = course(rng, FRAMES, FPS)[:, None]
    write(folder, 'alone', 'a', alone)
    for rater in 'abz':
        write(folder, 'v', rater, alone * (rater != 'z'))
    empty = folder / 'v.silent.1.csv'
    empty.write_text('time,valence\n0,\n0.1,\n')
    done = fuse(*AT_RATE)
    assert done.code == 0
    assert 'no interval: 1 labelled video: an interval needs 5 or more' in done.out
    assert 'warning: valence: one rater, a, of alone: the label is that rating as it is' in done.out
    assert 'warning: valence: z never moves: 0 in 500 frames; it counts as it is' in done.out
    assert 'warning: valence: z disagrees: CCC 0.00 with the mean of the others' in done.out
    assert 'warning: arousal: rated by nobody.' in done.out
    assert f'note: {empty}: no rating of valence at any frame' in done.out
    label = pd.read_csv(tmp_path / 'fused/Train_Set/alone.txt')
    np.testing.assert_allclose(label.valence, alone[:, 0], atol=1e-5)
    assert (label.arousal == -5).all()
    page = (tmp_path / 'fused/raters.html').read_text()
    assert 'z never moves' in page


def test_frames_that_nobody_rated_have_no_label(tmp_path: Path, fuse) -> None:
    folder = tmp_path / 'ratings'
    part = np.full((200, 2), 0.5)
    write(folder, 'v', 'a', part, start=4)
    write(folder, 'v', 'b', part[:100], start=6)
    done = fuse(*AT_RATE)
    assert '100 frames of v rated by some of their raters only' in done.out
    assert '300 of 500 frames rated by nobody, in v: they have no label' in done.out
    label = pd.read_csv(tmp_path / 'fused/Train_Set/v.txt').to_numpy()
    assert (label[:100] == -5).all()
    assert (label[100:300] == 0.5).all()
    assert (label[300:] == -5).all()


def test_frames_of_one_target_only_are_listed(tmp_path: Path, fuse) -> None:
    folder = tmp_path / 'ratings'
    both = np.full((FRAMES, 2), 0.5)
    write(folder, 'one', 'a', both[:, :1])
    write(folder, 'whole', 'a', both)
    write(folder, 'part', 'a', both[:100])
    path = write(folder, 'part', 'a', both[:400, :1], 2, start=4)
    path.write_text(path.read_text().replace('valence', 'arousal'))
    done = fuse(*AT_RATE)
    assert (
        'warning: valence without arousal in 500 frames of 1 video, one (500 of 500). A frame counts as one '
        'without any label where either is -5: rate arousal there too'
    ) in done.out
    assert 'warning: arousal without valence in 400 frames of 1 video, part (400 of 500). ' in done.out
    first = (tmp_path / 'fused/Train_Set/one.txt').read_text().splitlines()[1]
    assert first == '0.5,-5'


def test_rated_frames_that_a_rule_leaves_without_a_label(tmp_path: Path, fuse) -> None:
    folder = tmp_path / 'ratings'
    rng = np.random.default_rng(0)
    true = 0.8 * course(rng, FRAMES, FPS)[:, None]
    for rater in 'abc':
        write(folder, 'v', rater, true[:300])
    against = write(folder, 'v', 'd', -true)
    weighed = fuse(*AT_RATE, '--fusion', 'EvaluatorWeightedMean')
    label = pd.read_csv(tmp_path / 'fused/Train_Set/v.txt').valence
    assert (label[301:] == -5).all()
    lost = int((label == -5).sum())
    assert f'warning: valence: {lost} rated frames without a label, in v ({lost} of 500): ' in weighed.out
    assert 'rated by some' not in weighed.out
    assert 'rated frames without' not in fuse(*AT_RATE, out='mean').out
    # who is late elsewhere is moved where it is alone, too
    against.unlink()
    late = 0.8 * course(rng, FRAMES + 50, FPS)[:, None]
    for rater in 'abcd':
        write(folder, 'v', rater, late[50:] if rater != 'd' else late[:-50])
    write(folder, 'w', 'd', true)
    moved = fuse(*AT_RATE, '--fusion', 'DelayCorrectedMean', out='moved')
    label = pd.concat([pd.read_csv(path).valence for path in (tmp_path / 'moved').rglob('w.txt')])
    lost = int((label == -5).sum())
    assert 40 < lost < 60
    assert f'warning: valence: {lost} rated frames without a label, in w ({lost} of 500): ' in moved.out
    assert 'one rater, d, of w: the label is that rating as the rule changes it, and no' in moved.out
    weight = fuse(*AT_RATE, '--fusion', 'CCCCentredMean', out='level').out
    assert 'weight: fraction that the rater counts for the level of each video only' in weight


def test_persons_that_extraction_knows(tmp_path: Path, fuse) -> None:
    folder = rated(tmp_path / 'ratings', videos=1, raters='a')
    write_video(folder / 'v.mp4', plain(FRAMES, (32, 32)), constant_rate(FRAMES, FPS))
    first = folder / 'v_left.a.1.csv'
    (folder / 'v0.a.1.csv').rename(first)
    assert fuse().code == 0
    assert (tmp_path / 'fused/Train_Set/v_left.txt').is_file()
    shutil.rmtree(tmp_path / 'fused')
    second = first.rename(folder / 'v_person1.a.1.csv')
    text = wrong(fuse(), tmp_path)
    assert text.startswith(f"{second}: rates 'v_person1', one of the persons of 'v': extract_features.py can")
    assert 'v_left and v_right, in the name of the file and in its "# video:" line, or give a store' in text
    with RUCAIM3Writer(tmp_path / 'store', {'face': (1,)}) as writer:
        for name in ('v_person1', 'v_person2'):
            writer.add(name, 'val', {'face': np.zeros((FRAMES, 1))}, fps=FPS)
    done = fuse('--store', tmp_path / 'store')
    assert done.code == 0
    assert (
        'note: Train_Set: missing, for no video that the store has there is rated; the importer' in done.out
    )


def test_one_name_in_two_unicode_forms_is_one_video(tmp_path: Path, fuse) -> None:
    folder = tmp_path / 'ratings'
    both = np.full((FRAMES, 2), 0.5)
    composed, decomposed = 'caf\u00e9', 'cafe\u0301'
    write(folder, composed, composed, both)
    path = write(folder, decomposed, 'b', -both)
    path.write_text(f'# video: {composed}\n{path.read_text()}')
    write(folder, decomposed, decomposed, both[:100], 2, start=20.04)
    longer = ('--fps', FPS, '--frames', 601)
    assert fuse(*longer).code == 0
    assert [p.name for p in (tmp_path / 'fused').rglob('*.txt')] == [f'{composed}.txt']
    table = pd.read_csv(tmp_path / 'fused/agreement.csv')
    assert set(table.rater) == {composed, 'b', f'b {composed}'}
    with RUCAIM3Writer(tmp_path / 'store', {'face': (1,)}) as writer:
        writer.add(decomposed, 'train', {'face': np.zeros((601, 1))}, fps=FPS)
    assert fuse('--store', tmp_path / 'store', out='of_store').code == 0
    assert (tmp_path / f'of_store/Train_Set/{decomposed}.txt').is_file()  # as the store has it
    write_video(tmp_path / f'{decomposed}.mp4', plain(601, (32, 32)), constant_rate(601, FPS))
    assert fuse('--videos', tmp_path / f'{decomposed}.mp4', out='of_video').code == 0
    assert (tmp_path / f'of_video/Train_Set/{decomposed}.txt').is_file()


def test_why_a_rated_video_cannot_be_used(tmp_path: Path, fuse) -> None:
    folder = rated(tmp_path / 'ratings', videos=1, raters='a')
    for name in ('v0.mkv', 'v0.mp4', 'other.mp4'):
        (folder / name).touch()
    text = wrong(fuse(), tmp_path)
    assert text.startswith(f"{folder / 'v0.a.1.csv'}: rates the video 'v0', which cannot be used: ")
    assert text.endswith(
        "two videos of the name 'v0'; rename one of them, since the name identifies the video"
    )


def test_a_delay_that_cannot_be_looked_for_is_refused_first(tmp_path: Path) -> None:
    def find(name: str) -> VideoFrames:
        raise AssertionError(f'{name} is decoded')

    rated(tmp_path / 'ratings', videos=1, raters='a')
    with pytest.raises(ConfigError, match='a largest delay of 61 s: it must be from 1 to 60 s'):
        fuse_raters(tmp_path / 'ratings', tmp_path / 'fused', find, max_delay=61)


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ((), 'when are the frames of these videos? Name their folder with --videos'),
        (('--fps', 0, '--frames', 5), 'when are the frames of these videos?'),
        (
            ('--fps', -1, '--frames', 5),
            '--fps -1 --frames 5: a rate from 1 to 1,000',
        ),
        (('--fps', 1e-9, '--frames', 5), '--fps 1e-09 --frames 5: a rate from 1 to 1,000'),
        (('--videos', 'x', '--store', 'y'), 'name one of both: --videos or --store'),
        (('--videos', 'x', *AT_RATE), 'the videos in x say when their frames are: omit --fps and --frames'),
        (('--store', 'y', *AT_RATE), 'y says how many frames its videos have: omit --frames'),
        ((*AT_RATE, '--fusion', 'RaterMeen'), "--fusion RaterMeen: no such rule; did you mean 'RaterMean'?"),
        ((*AT_RATE, '--max-delay', 0.1), 'a largest delay of 0.1 s: it must be from 1 to 60 s'),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, fuse, options: tuple, said: str) -> None:
    rated(tmp_path / 'ratings', videos=1)
    done = fuse(*options)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / 'fused').exists()


def test_a_folder_of_ratings_that_is_not_there_is_reported_first(tmp_path: Path, fuse) -> None:
    assert fuse().err.startswith(f'error: {tmp_path}/ratings: no such folder; give the one with the files')


def test_without_plotly_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> VideoFrames:
        raise AssertionError(f'{name} is decoded')

    rated(tmp_path / 'ratings', videos=1, raters='a')
    monkeypatch.setitem(sys.modules, 'plotly.offline', None)
    with pytest.raises(DataError, match=r'pip install -e \.\[report\]'):
        fuse_raters(tmp_path / 'ratings', tmp_path / 'fused', find)


def test_raters_who_are_equal_do_not_disagree(tmp_path: Path, fuse) -> None:
    """Alpha is 1 but for rounding, with each of them and without."""
    rng = np.random.default_rng(0)
    true = course(rng, FRAMES, FPS)[:, None]
    for rater in 'abc':
        write(tmp_path / 'ratings', 'v', rater, true + 1e-6 * rng.standard_normal(true.shape))
    done = fuse(*AT_RATE)
    assert done.code == 0
    assert 'disagrees' not in done.out


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, fuse) -> None:
    rated(tmp_path / 'ratings', videos=1)
    (tmp_path / 'fused').mkdir()
    (tmp_path / 'fused/mine.txt').write_text('kept')
    done = fuse(*AT_RATE)
    assert (done.code, 'exists and is not an empty folder' in done.err) == (2, True)
    assert [p.name for p in (tmp_path / 'fused').iterdir()] == ['mine.txt']


def test_the_film_comes_to_its_own_targets(shared: Path, tmp_path: Path, fuse) -> None:
    """The mean of the nine observers is the target of the data set; here by way of files of raters."""
    source = shared / 'data/gump'
    done = tool_here('dataset_converters/gump_raters', source / 'raters/val_raters.h5', tmp_path / 'ratings')
    assert done.returncode == 0
    assert '10 clips, 9 observers' in done.stdout
    assert 'omitted, for they did not see the film: ao1o03, ao1o02, ao1o01' in done.stdout
    clips = ['seg3_02359', 'seg3_02583']
    for path in (tmp_path / 'ratings').iterdir():
        if path.name.partition('.')[0] not in clips:
            path.unlink()
    assert fuse('--store', source, '--fps', 5).code == 0
    with h5py.File(source / 'targets/val_valid_targets.h5') as file:
        for clip in clips:
            label = pd.read_csv(tmp_path / f'fused/Validation_Set/{clip}.txt')
            for target in ('valence', 'arousal'):
                np.testing.assert_allclose(label[target], file[clip][target][()], atol=2e-6)
    broken = tool_here(
        'dataset_converters/gump_raters', source / 'targets/val_valid_targets.h5', tmp_path / 'no'
    )
    assert broken.returncode == 2
    assert 'is no file of ratings by clip and rater' in broken.stderr
