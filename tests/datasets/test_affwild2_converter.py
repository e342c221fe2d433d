from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from abawfw.datasets.converters.affwild2 import convert_affwild2
from abawfw.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = {'1-30': 12, '2_left': 8, '2_right': 8, '7': 10}  # 7 is val


class Source:
    """A made-up copy of the challenge's folders with two features, one per file format."""

    def __init__(self, root: Path) -> None:
        self.root, self.annotations = root, root / 'annotations'
        self.cnn, self.pose = root / 'cnn', root / 'pose'
        self.labels: dict[str, np.ndarray] = {}
        self.values: dict[str, np.ndarray] = {}
        rng = np.random.default_rng(0)
        for folder in (self.cnn, self.pose):
            folder.mkdir(parents=True)
        for video, length in LENGTHS.items():
            self.labels[video] = rng.uniform(-1, 1, (length, 2)).round(3)
            self.write_labels(video, self.labels[video])
            self.values[video] = rng.standard_normal((length, 4)).astype(np.float32)
            np.save(self.cnn / f'{video}.npy', self.values[video])
            self.write_csv(self.pose / f'{video}.csv', self.values[video][:, :3], header='yaw,pitch,roll')
        for video, length in (('30', 9), ('31', 5)):
            self.values[video] = rng.standard_normal((length, 4)).astype(np.float32)
            np.save(self.cnn / f'{video}.npy', self.values[video])
            self.write_csv(self.pose / f'{video}.csv', self.values[video][:, :3])
        (root / 'test.txt').write_text('30\n31\n\n')
        (root / 'fps.csv').write_text(
            'video,fps\n' + ''.join(f'{v},{20 + i}\n' for i, v in enumerate(self.values))
        )

    def annotation(self, video: str) -> Path:
        folder = 'Validation_Set' if video == '7' else 'Train_Set'
        return self.annotations / 'VA_Estimation_Challenge' / folder / f'{video}.txt'

    def write_labels(self, video: str, labels: np.ndarray) -> None:
        self.annotation(video).parent.mkdir(parents=True, exist_ok=True)
        self.write_csv(self.annotation(video), labels, header='valence,arousal')

    @staticmethod
    def write_csv(path: Path, values: np.ndarray, header: str | None = None) -> None:
        lines = ([header] if header else []) + [','.join(f'{x:.9g}' for x in row) for row in values]
        path.write_text('\n'.join(lines) + '\n')

    def convert(self, **options: object):
        features = {'cnn': self.cnn, 'pose': self.pose}
        return convert_affwild2(self.annotations, self.root / 'data', features, **options)  # type: ignore[arg-type]

    def stored(self, partition: str, feature: str, video: str) -> np.ndarray:
        with h5py.File(self.root / f'data/features/{partition}_{feature}.h5') as file:
            return file[video]['fts'][:]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def test_imports_all_partitions(source: Source) -> None:
    labels = source.labels['1-30'].copy()
    labels[3:5] = -5
    labels[7, 1] = -5
    source.write_labels('1-30', labels)
    report = source.convert(test_list=source.root / 'test.txt', fps=source.root / 'fps.csv')
    assert report.videos == {'train': ('1-30', '2_left', '2_right'), 'val': ('7',), 'test': ('30', '31')}
    assert report.repairs == ()
    with h5py.File(source.root / 'data/targets/train_valid_targets.h5') as file:
        found = np.stack([file['1-30/valence'][:], file['1-30/arousal'][:]], axis=1)
        labels[7] = -5
        np.testing.assert_array_equal(found, labels.astype(np.float32))
        assert [file[video]['fps'][()] for video in file] == [20, 21, 22]
    with h5py.File(source.root / 'data/targets/test_valid_targets.h5') as file:
        assert set(file['30']) == {'length', 'fps'}
        assert file['30/length'][()] == 9
    for partition, video in (('train', '2_left'), ('val', '7'), ('test', '31')):
        np.testing.assert_array_equal(source.stored(partition, 'cnn', video), source.values[video])
        np.testing.assert_array_equal(source.stored(partition, 'pose', video), source.values[video][:, :3])


@pytest.mark.parametrize('difference', [-2, -1, 1, 2])
def test_off_by_two_is_repaired_and_listed(source: Source, difference: int) -> None:
    values = np.arange((10 + difference) * 4, dtype=np.float32).reshape(-1, 4)
    np.save(source.cnn / '7.npy', values)
    (repair,) = source.convert().repairs
    what = f'last {difference} cut' if difference > 0 else f'last row repeated {-difference} time(s)'
    assert repair == f'7: cnn has {10 + difference} frames, the video 10: {what}'
    stored = source.stored('val', 'cnn', '7')
    assert len(stored) == 10
    kept = min(10, len(values))
    np.testing.assert_array_equal(stored[:kept], values[:kept])
    np.testing.assert_array_equal(stored[kept:], np.repeat(values[-1:], 10 - kept, axis=0))


def test_test_video_is_as_long_as_its_longest_feature(source: Source) -> None:
    np.save(source.cnn / '30.npy', source.values['30'][:8])
    report = source.convert(test_list=source.root / 'test.txt')
    assert report.repairs == ('30: cnn has 8 frames, the video 9: last row repeated 1 time(s)',)
    assert len(source.stored('test', 'cnn', '30')) == 9


def test_everything_wrong_is_reported_at_once(source: Source) -> None:
    np.save(source.cnn / '7.npy', np.zeros((13, 4), np.float32))
    (source.pose / '2_left.csv').unlink()
    np.save(source.cnn / '2_right.npy', np.array([{'a': 1}], object), allow_pickle=True)
    values = source.values['1-30'].copy()
    values[[4, 9]] = np.nan
    np.save(source.cnn / '1-30.npy', values)
    labels = source.labels['2_left'].copy()
    labels[5] = 1.5
    source.write_labels('2_left', labels)
    np.save(source.cnn / '31.npy', np.zeros((5, 6)))
    (source.root / 'fps.csv').write_text('30,25\n31,25\n7,25\n1-30,25\n2_right,25\n')
    with pytest.raises(DataError) as caught:
        source.convert(test_list=source.root / 'test.txt', fps=source.root / 'fps.csv')
    text = str(caught.value)
    assert text.startswith('7 problem(s), nothing written')
    assert '7: cnn has 13 frames, the video 10' in text
    assert '2_left: pose: ' in text
    assert 'no such file' in text
    assert '2_right: cnn: ' in text
    assert 'holds object of shape (1,), expected numbers' in text
    assert '2 of 12 frames hold NaN or inf, first row 4' in text
    assert "'2_left', frame 5" in text
    assert '31: a frame of cnn has shape (6,), in the first video (4,)' in text
    assert 'no frame rate of 2_left' in text
    assert not (source.root / 'data').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', "first line is '', expected 'valence,arousal'"),
        ('0.1,0.2\n0.1,0.2\n', "first line is '0.1,0.2'"),
        ('valence,arousal\n', 'no frames'),
        ('valence,arousal\n0.1,0.2\n0.1\n', "line 3 is '0.1', expected 2 numbers"),
        ('valence,arousal\n0.1,x\n', "line 2 is '0.1,x'"),
        ('valence,arousal\n0.1,0.1\n0.1,nan\n', 'line 3 holds NaN'),
        ('valence,arousal\n0.1,-3\n', 'arousal is -3'),
    ],
)
def test_bad_annotations_are_named(source: Source, content: str, message: str) -> None:
    source.annotation('7').write_text(content)
    with pytest.raises(DataError) as caught:
        source.convert()
    assert message in str(caught.value)
    assert '7' in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'no frames'),
        ('a,b,c\n', 'no frames'),
        ('1,2,3\n1,2\n', "line 2 is '1,2', expected 3 numbers"),
        ('1,2,3\n1,,3\n', "line 2 is '1,,3'"),
    ],
)
def test_bad_feature_csv_is_named(source: Source, content: str, message: str) -> None:
    (source.pose / '7.csv').write_text(content)
    with pytest.raises(DataError) as caught:
        source.convert()
    assert message in str(caught.value)
    assert str(source.pose / '7.csv') in str(caught.value)


def test_two_files_for_one_video_are_refused(source: Source) -> None:
    np.save(source.pose / '7.npy', np.zeros((10, 3)))
    with pytest.raises(DataError, match=r'both \.npy and \.csv'):
        source.convert()


def test_one_number_per_frame_becomes_a_column(source: Source) -> None:
    for video in LENGTHS:
        np.save(source.cnn / f'{video}.npy', np.arange(LENGTHS[video], dtype=np.uint8))
    source.convert()
    stored = source.stored('val', 'cnn', '7')
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored[:, 0], np.arange(10))


def test_duplicate_video_is_refused(source: Source) -> None:
    (source.root / 'test.txt').write_text('30\n7\n30\n')
    with pytest.raises(DataError, match='2 problem') as caught:
        source.convert(test_list=source.root / 'test.txt')
    assert '30: there 2 times' in str(caught.value)
    assert '7: there 2 times' in str(caught.value)


def test_folder_may_be_the_inner_one_and_must_hold_annotations(source: Source) -> None:
    inner = source.annotations / 'VA_Estimation_Challenge'
    report = convert_affwild2(inner, source.root / 'data', {'cnn': source.cnn})
    assert report.videos['val'] == ('7',)
    source.annotation('7').unlink()
    with pytest.raises(DataError, match='Validation_Set: no annotation files'):
        convert_affwild2(inner, source.root / 'other', {'cnn': source.cnn})
    with pytest.raises(DataError, match='nowhere: no such folder'):
        convert_affwild2(
            Source(source.root / 's').annotations, source.root / 'o', {'x': source.root / 'nowhere'}
        )


def test_bad_fps_file_is_named(source: Source) -> None:
    for content, message in (
        ('7,25\n7,30\n', 'line 2: 7 is there twice'),
        ('7,25\n8,0\n', "line 2 is '8,0'"),
    ):
        (source.root / 'fps.csv').write_text(content)
        with pytest.raises(DataError, match=message):
            source.convert(fps=source.root / 'fps.csv')


def test_command_line(source: Source) -> None:
    np.save(source.cnn / '7.npy', np.zeros((11, 4)))
    command = [sys.executable, str(ROOT / 'tools/dataset_converters/affwild2.py'), str(source.annotations)]
    features = ['--features', f'cnn={source.cnn}', f'pose={source.pose}']
    options = ['--test-list', str(source.root / 'test.txt'), '--fps', str(source.root / 'fps.csv')]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    done = run(str(source.root / 'data'), *features, *options)
    assert done.returncode == 0, done.stderr
    assert 'repaired: 7: cnn has 11 frames, the video 10: last 1 cut\n' in done.stdout
    assert 'train    3 videos' in done.stdout
    assert '1 repair(s)' in done.stdout
    (source.cnn / '2_left.npy').unlink()
    failed = run(str(source.root / 'b'), *features)
    assert failed.returncode == 2
    assert failed.stderr.startswith('error: 1 problem(s)')
    assert run(str(source.root / 'c'), '--features', 'cnn').returncode == 2
    assert 'cnn given twice' in run(str(source.root / 'c'), *features, f'cnn={source.pose}').stderr
