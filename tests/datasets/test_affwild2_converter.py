from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from tool_here import tool_here

from abawfw.datasets.importers.affwild2 import convert_affwild2
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
            self.write_csv(self.pose / f'{video}.csv', self.values[video][:, :3], header='yaw,pitch,roll')
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
    what = (
        f'last {difference} cut'
        if difference > 0
        else f'last row repeated {"1 time" if difference == -1 else "2 times"}'
    )
    assert repair == f'7: cnn has {10 + difference} frames, the video 10: {what}'
    stored = source.stored('val', 'cnn', '7')
    assert len(stored) == 10
    kept = min(10, len(values))
    np.testing.assert_array_equal(stored[:kept], values[:kept])
    np.testing.assert_array_equal(stored[kept:], np.repeat(values[-1:], 10 - kept, axis=0))


def test_test_video_is_as_long_as_its_longest_feature(source: Source) -> None:
    np.save(source.cnn / '30.npy', source.values['30'][:8])
    report = source.convert(test_list=source.root / 'test.txt')
    assert report.repairs == ('30: cnn has 8 frames, the video 9: last row repeated 1 time',)
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
    assert text.startswith('7 problems, nothing written')
    assert '7: cnn has 13 frames, the video 10' in text
    assert '2_left: pose: ' in text
    assert 'no such file' in text
    assert '2_right: cnn: ' in text
    assert 'holds object of shape (1,), expected numbers' in text
    assert '2 of 12 frames hold NaN or inf, first row 4' in text
    assert "'2_left', frame 5" in text
    assert '31: cnn: ' in text
    assert f'31.npy: a frame has shape (6,), in {source.cnn / "2_left.npy"} (4,)' in text
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
        ('valence,arousal\n-5,-3\n', 'arousal is -3'),
        ('valence,arousal\n0.1,0.1\ninf,-5\n', 'frame 1: valence is inf'),
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
        ('a,b,c\n1,2\n', "line 2 is '1,2', expected 3 numbers"),
        ('a;b;c\n1;2;.3\n', 'it is separated by semicolons: write it with commas'),
        ('a\tb\tc\n1\t2\t3\n', 'it is separated by tabs: write it with commas'),
        ('# made by x\n1,2,3\n', "line 1, '# made by x', was taken for the names of columns"),
        ('x,x,x\n1,2,3\n', "line 1 names 'x' more than once"),
        ('a,b,c\n1,,3\n', "line 2 is '1,,3'"),
        ('a,b,c\n1,1_0,3\n', "line 2 is '1,1_0,3'"),
        ('.1,x,.3\n.1,.2,.3\n', "line 1 is '.1,x,.3', which is neither a frame"),
        (',.2,.3\n.1,.2,.3\n', "line 1 is ',.2,.3', which is neither a frame"),
        ('\n.1,.2,.3\n', 'line 1 is empty'),
    ],
)
def test_bad_feature_csv_is_named(source: Source, content: str, message: str) -> None:
    (source.pose / '7.csv').write_text(content)
    with pytest.raises(DataError) as caught:
        source.convert()
    assert message in str(caught.value)
    assert str(source.pose / '7.csv') in str(caught.value)


def table(values: np.ndarray, **options: object) -> str:
    return pd.DataFrame(values).to_csv(**options)


class Tables:
    """Imports one feature of .csv files, made from the same values in a way of one's own."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def write(self, make: Callable[[np.ndarray], str]) -> None:
        for video, length in LENGTHS.items():
            (self.source.pose / f'{video}.csv').write_text(make(self.source.values[video][:length, :3]))

    def convert(self):
        return convert_affwild2(
            self.source.annotations, self.source.root / 'data', {'pose': self.source.pose}
        )

    def check(self) -> None:
        for video, length in LENGTHS.items():
            partition = 'val' if video == '7' else 'train'
            stored = self.source.stored(partition, 'pose', video)
            np.testing.assert_array_equal(stored, self.source.values[video][:length, :3])


@pytest.fixture
def tables(source: Source) -> Tables:
    return Tables(source)


def test_labels_of_one_target_alone_are_counted(tables: Tables) -> None:
    tables.write(lambda values: table(values, index=False))
    annotation = tables.source.annotation('7')
    lines = annotation.read_text().splitlines()
    lines[1:4] = ['-5,-5', '0.1,-5', '-5,0.1']
    annotation.write_text('\n'.join(lines))
    expected = f'{annotation}: 2 frames with only one of valence and arousal used for neither, first 1'
    assert tables.convert().notes == (expected,)


@pytest.mark.parametrize(
    ('options', 'note'),
    [
        ({'index': False}, None),
        ({}, 'number of the row'),
        ({'header': False}, 'number of the row'),
        ({'header': False, 'index': False}, None),
        ({'header': ['1', '2', '3'], 'index': False}, None),
        ({'header': ['0.0', '1.0', '2.0'], 'index': False}, None),
        ({'header': ['0.0', '1.0', '2.0']}, 'number of the row'),
        ({'header': ['a', 'b', 'c']}, 'number of the row'),
        ({'index_label': 'Frame'}, 'Frame'),
    ],
)
def test_tables_of_pandas_give_what_was_written(tables: Tables, options: dict, note: str | None) -> None:
    tables.write(lambda values: table(values, **options))
    report = tables.convert()
    tables.check()
    assert report.repairs == ()
    expected = () if note is None else (f'pose: columns that are no values of a frame, omitted: {note}',)
    assert report.notes == expected


@pytest.mark.parametrize(
    'content', ['0,1,2\n1,1,0\n3,2,1\n', '0\n.5\n', '1,2\n2,2\n', '0.0,1.0,2.0\n1.0,1.0,0.0\n', '0.0\n.5\n']
)
def test_a_first_line_that_may_be_either_is_refused(tables: Tables, content: str) -> None:
    (tables.source.pose / '7.csv').write_text(content)
    line = content.partition('\n')[0]
    with pytest.raises(
        DataError, match=f"7.csv: line 1 is '{line}', which may be a header or the first frame"
    ):
        tables.convert()


def openface(
    values: np.ndarray, frames: Sequence[int] | None = None, success: Sequence[int] | None = None
) -> str:
    n = len(values)
    columns = {
        'frame': range(1, n + 1) if frames is None else frames,
        ' face_id': 0,
        ' timestamp': np.arange(n) / 30,
        ' confidence': 0.98,
        ' success': 1 if success is None else success,
    }
    return pd.DataFrame(columns | {f' x_{i}': values[:, i] for i in range(3)}).to_csv(index=False)


def test_tables_of_openface_give_features_alone(tables: Tables) -> None:
    tables.write(openface)
    report = tables.convert()
    tables.check()
    listed = 'frame, face_id, timestamp, confidence, success'
    assert report.notes == (f'pose: columns that are no values of a frame, omitted: {listed}',)


def test_rows_go_to_the_frames_that_they_name(tables: Tables) -> None:
    tables.write(openface)
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    for video, frames in (('2_left', [8, 7, 6, 5, 4, 3, 2, 1]), ('2_right', [2, 3, 6, 7, 8])):
        text = openface(values[np.array(frames) - 1], frames, [int(f != 7) for f in frames])
        (tables.source.pose / f'{video}.csv').write_text(text)
    report = tables.convert()
    np.testing.assert_array_equal(tables.source.stored('train', 'pose', '2_left'), values)
    held = tables.source.stored('train', 'pose', '2_right')
    np.testing.assert_array_equal(held, values[[1, 1, 2, 2, 2, 5, 6, 7]])
    with h5py.File(tables.source.root / 'data/features/train_pose.h5') as file:
        assert file['2_right/valid'][:].tolist() == [0, 1, 1, 0, 0, 1, 0, 1]
        assert file['2_left/valid'][:].tolist() == [1, 1, 1, 1, 1, 1, 0, 1]
        assert 'valid' not in file['1-30']
    assert report.repairs == (
        '2_right: pose has no row for 3 of 8 frames, first 0: they hold the row before and count as not '
        'observed',
    )


@pytest.mark.parametrize(
    ('frames', 'message'),
    [
        ([1, 2, 3, 3, 5, 6, 7, 8, 9, 10], r'frame 3 is there 2 times (lines 4, 5)'),
        ([0.5, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'line 2: frame 0.5 is no number of a frame'),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 3000], "column 'frame' goes to 3000, with 10 rows"),
    ],
)
def test_numbers_of_frames_that_contradict_are_named(tables: Tables, frames: list, message: str) -> None:
    tables.write(openface)
    (tables.source.pose / '7.csv').write_text(openface(np.zeros((10, 3)), frames))
    with pytest.raises(DataError) as caught:
        tables.convert()
    assert f'{tables.source.pose / "7.csv"}: ' in str(caught.value)
    assert message in str(caught.value)


def test_the_first_number_is_that_of_all_files(tables: Tables) -> None:
    """Frames count from 0 where any file does; where no file begins with 0 or 1 nobody knows."""
    tables.write(lambda values: openface(values, range(len(values))))
    text = openface(np.ones((9, 3)), range(1, 10))  # frame 0 has no row
    (tables.source.pose / '7.csv').write_text(text)
    assert '7: pose has no row for 1 of 10 frames, first 0' in tables.convert().repairs[0]
    tables.source.root /= 'again'
    tables.write(lambda values: openface(values, range(2, len(values) + 2)))
    with pytest.raises(DataError, match='the number of the first frame is unknown'):
        tables.convert()


@pytest.mark.parametrize(
    ('header', 'message'),
    [
        ('pitch,yaw,roll', 'has its columns in another order (pitch, yaw, roll) than'),
        ('yaw,pitch,gaze', 'lacks roll and adds gaze, unlike'),
        ('success,yaw,pitch', 'lacks roll and adds success, unlike'),
        (None, 'has no header, unlike'),
    ],
)
def test_columns_agree_over_all_files(source: Source, header: str | None, message: str) -> None:
    source.write_csv(source.pose / '7.csv', source.values['7'][:, :3].round(2), header)
    with pytest.raises(DataError) as caught:
        source.convert()
    assert f'7.csv: {message} {source.pose / "1-30.csv"}' in str(caught.value)


def test_what_is_not_taken_is_named(source: Source) -> None:
    inner = source.annotations / 'VA_Estimation_Challenge'
    (inner / 'Train_Set/1-30.txt').rename(inner / 'Train_Set/1-30.TXT')  # taken
    (inner / 'Train_Set/._1-30.TXT').write_bytes(b'\0\5')  # left by macOS, as the next
    (source.cnn / '._7.npy').write_bytes(b'\0\5')
    (inner / 'Train_Set/8.csv').touch()
    (inner / 'Validation').mkdir()
    (inner / 'Validation/9.txt').touch()
    report = source.convert()
    assert report.videos['train'] == ('1-30', '2_left', '2_right')
    assert report.not_taken == (
        f'{inner}/Validation: 1 .txt files, but only Train_Set and Validation_Set are read '
        '(nearest: Validation_Set)',
        f'{inner}/Train_Set/8.csv: only .txt files are read',
        "30: cnn, pose, but no annotation and no line of a test list (nearest name of a video: '1-30')",
        '31: cnn, pose, but no annotation and no line of a test list',
    )


def test_near_names_are_offered(source: Source) -> None:
    (source.cnn / '2_left.npy').rename(source.cnn / '2-left.npy')
    with pytest.raises(DataError, match=r"2_left\.npy: no such file, nor \.csv; did you mean '2-left'\?"):
        source.convert()
    inner = source.annotations / 'VA_Estimation_Challenge'
    (inner / 'Validation_Set').rename(inner / 'Validation')
    with pytest.raises(DataError, match='there are files in Validation: rename the folder'):
        source.convert()


def test_one_file_of_sound_serves_both_persons(source: Source) -> None:
    for side in ('left', 'right'):
        (source.cnn / f'2_{side}.npy').unlink()
    np.save(source.cnn / '2.npy', source.values['2_left'])
    report = source.convert(test_list=source.root / 'test.txt')
    for side in ('left', 'right'):
        np.testing.assert_array_equal(source.stored('train', 'cnn', f'2_{side}'), source.values['2_left'])
    assert report.notes == ('cnn: 2_left, 2_right: no separate file, the one of both persons is used',)
    assert report.not_taken == ()


def test_two_files_for_one_video_are_refused(source: Source) -> None:
    np.save(source.pose / '7.npy', np.zeros((10, 3)))
    with pytest.raises(DataError, match=r'both \.npy and \.csv are there: remove one'):
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
        ('7,25\n7,30\n', 'line 2: 7 occurs twice'),
        ('7,25\n8,0\n', "line 2 is '8,0'"),
    ):
        (source.root / 'fps.csv').write_text(content)
        with pytest.raises(DataError, match=message):
            source.convert(fps=source.root / 'fps.csv')


def test_command_line(source: Source) -> None:
    np.save(source.cnn / '7.npy', np.zeros((11, 4)))
    features = ['--features', f'cnn={source.cnn}', f'pose={source.pose}']
    options = ['--test-list', str(source.root / 'test.txt'), '--fps', str(source.root / 'fps.csv')]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return tool_here('dataset_converters/affwild2', source.annotations, *arguments)

    done = run(str(source.root / 'data'), *features, *options)
    assert done.returncode == 0, done.stderr
    assert 'repaired: 7: cnn has 11 frames, the video 10: last 1 cut\n' in done.stdout
    assert 'train    3 videos' in done.stdout
    assert '1 repair, 0 not taken; written' in done.stdout
    (source.cnn / '2_left.npy').unlink()
    failed = run(str(source.root / 'b'), *features)
    assert failed.returncode == 2
    assert failed.stderr.startswith('error: 1 problem')
    assert run(str(source.root / 'c'), '--features', 'cnn').returncode == 2
    assert 'cnn given twice' in run(str(source.root / 'c'), *features, f'cnn={source.pose}').stderr
