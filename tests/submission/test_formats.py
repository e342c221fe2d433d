from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from killed import killed_at_every_step

from abawfw.errors import ConfigError, DataError
from abawfw.prediction_files import read_predictions
from abawfw.submission.formats import (
    FORMATS,
    HEADER,
    SampleFile,
    check_output,
    of_teacher,
    write_submission,
)

PREDS = {
    'valence': {'a': np.array([0.5, -1.5, 0.25]), 'b_left': np.array([0.1])},
    'arousal': {'a': np.array([2.0, 0.0, -0.5]), 'b_left': np.array([0.2])},
}


def sample(folder: Path, *rows: str, header: str = HEADER) -> SampleFile:
    path = folder / 'sample.txt'
    path.write_text('\n'.join([header, *rows]) + '\n')
    return SampleFile(path)


def test_per_target() -> None:
    made = FORMATS['per-target'](PREDS, None, None)
    assert made.files['valence/a.txt'] == 'valence\n0.5\n-1.0\n0.25\n'
    assert made.files['arousal/a.txt'] == 'arousal\n1.0\n0.0\n-0.5\n'
    assert len(made.files) == 4
    assert made.rows == 8


def test_per_video() -> None:
    made = FORMATS['per-video'](PREDS, None, None)
    assert made.files == {
        'a.txt': 'valence,arousal\n0.5,1.0\n-1.0,0.0\n0.25,-0.5\n',
        'b_left.txt': 'valence,arousal\n0.1,0.2\n',
    }
    assert made.rows == 4


def test_abaw_has_the_rows_of_the_sample_in_its_order(tmp_path: Path) -> None:
    wanted = sample(tmp_path, 'b_left/00001.jpg,-5,-5', 'a/00003.jpg', 'a/00001.jpg,,', 'a/00002.jpg')
    made = FORMATS['abaw'](PREDS, wanted, None)
    lines = made.files['predictions.txt'].splitlines()
    assert lines == [
        HEADER,
        'b_left/00001.jpg,0.1,0.2',
        'a/00003.jpg,0.25,-0.5',
        'a/00001.jpg,0.5,1.0',
        'a/00002.jpg,-1.0,0.0',
    ]
    assert made.rows == 4
    assert made.repairs == []


def test_abaw_repairs_two_frames_and_lists_them(tmp_path: Path) -> None:
    rows = [f'a/{k:05d}.jpg' for k in range(1, 6)]
    made = FORMATS['abaw'](PREDS, sample(tmp_path, *rows), None)
    lines = made.files['predictions.txt'].splitlines()
    assert lines[3:] == ['a/00003.jpg,0.25,-0.5', 'a/00004.jpg,0.25,-0.5', 'a/00005.jpg,0.25,-0.5']
    assert made.repairs == [
        'a: 5 rows in the sample, 3 predictions: the last value is repeated 2 x',
        'b_left: not in the sample, omitted',
    ]
    made = FORMATS['abaw'](PREDS, sample(tmp_path, 'a/00001.jpg', 'b_left/00001.jpg'), None)
    assert made.rows == 2
    assert made.repairs == ['a: 1 row in the sample, 3 predictions: the last 2 are omitted']


def test_abaw_refuses_more_unless_allowed(tmp_path: Path) -> None:
    rows = [f'a/{k:05d}.jpg' for k in range(1, 7)]
    wanted = sample(tmp_path, *rows, 'c/00001.jpg', 'd/00001.jpg')
    with pytest.raises(DataError) as error:
        FORMATS['abaw'](PREDS, wanted, None)
    for text in (
        'a: 6 rows in the sample, 3 predictions; at most 2',
        'c: 1 row in',
        'd: 1 row in',
        '--allow-repair',
    ):
        assert text in str(error.value)
    made = FORMATS['abaw'](PREDS, sample(tmp_path, *rows), 3)
    assert made.repairs[0] == 'a: 6 rows in the sample, 3 predictions: the last value is repeated 3 x'
    longer = {t: {'a': np.zeros(10)} for t in ('valence', 'arousal')}
    with pytest.raises(DataError, match='a: 6 rows in the sample, 10 predictions; at most 3'):
        FORMATS['abaw'](longer, sample(tmp_path, *rows), 3)
    assert FORMATS['abaw'](longer, sample(tmp_path, *rows), 4).rows == 6
    for allowed in (0, 1):  # less than the usual 2
        with pytest.raises(DataError, match=f'a: 5 rows in the sample, 3 predictions; at most {allowed}'):
            FORMATS['abaw'](PREDS, sample(tmp_path, *rows[:5]), allowed)


def test_everything_wrong_with_a_sample_at_once(tmp_path: Path) -> None:
    rows = ['a/00001.jpg', 'a00002.jpg', 'a/00000.jpg', 'a/00001.jpg']
    with pytest.raises(DataError) as error:
        sample(tmp_path, *rows, header='image,valence')
    for text in (
        "line 1: header 'image,valence'",
        "line 3: 'a00002.jpg'",
        'line 4',
        'line 5: a/00001.jpg occurs',
    ):
        assert text in str(error.value)
    with pytest.raises(DataError, match='no row'):
        sample(tmp_path)
    with pytest.raises(DataError, match='cannot read the sample'):
        SampleFile(tmp_path / 'nothing.txt')


@pytest.mark.parametrize('number', ['9' * 20, '9' * 5000])
def test_a_frame_number_that_no_video_has(tmp_path: Path, number: str) -> None:
    with pytest.raises(DataError, match=r"line 3: 'a/999.*expected VIDEO/00001\.jpg") as error:
        sample(tmp_path, 'a/00001.jpg', f'a/{number}.jpg')
    assert len(str(error.value)) < 500
    assert sample(tmp_path, 'a/000000000012.jpg').frames.tolist() == [11]


def test_wrong_use(tmp_path: Path) -> None:
    wanted = sample(tmp_path, 'a/00001.jpg')
    with pytest.raises(ConfigError, match='--sample FILE'):
        FORMATS['abaw'](PREDS, None, None)
    for name in ('per-target', 'per-video'):
        with pytest.raises(ConfigError, match=f'{name} has none'):
            FORMATS[name](PREDS, wanted, None)
        with pytest.raises(ConfigError, match=f'--allow-repair 3: .*; {name} has none: omit it'):
            FORMATS[name](PREDS, None, 3)
    with pytest.raises(ConfigError, match='arousal is not among the targets'):
        FORMATS['per-video']({'valence': PREDS['valence']}, None, None)
    with pytest.raises(DataError, match='differ in 1 video:\n  a: 3 and 2 frames'):
        FORMATS['per-video'](
            {'valence': PREDS['valence'], 'arousal': {'a': np.zeros(2), 'b_left': np.zeros(1)}}, None, None
        )
    with pytest.raises(DataError, match='cannot be the name of a file'):
        FORMATS['per-target']({'valence': {'../a': np.zeros(1)}}, None, None)


def test_existing_output_is_kept(tmp_path: Path) -> None:
    made = FORMATS['per-target'](PREDS, None, None)
    out = tmp_path / 'deep' / 'name'
    write_submission(out, made)
    with pytest.raises(ConfigError, match='--overwrite'):
        write_submission(out, made)
    (out / 'valence' / 'old.txt').write_text('')
    write_submission(out, made, overwrite=True)
    assert sorted(str(p.relative_to(out)) for p in out.rglob('*.txt')) == sorted(made.files)
    assert list(out.parent.iterdir()) == [out]
    for foreign in ('weights.pth', 'VA_Estimation_Challenge/Train_Set/a.txt', 'predict/extra/valence/a.txt'):
        other = tmp_path / 'other' / foreign
        other.parent.mkdir(parents=True)
        other.write_text('0')
        with pytest.raises(ConfigError, match=rf'is not a submission \({other}\) and is not overwritten'):
            write_submission(tmp_path / 'other', made, overwrite=True)
        assert other.read_text() == '0'
        shutil.rmtree(tmp_path / 'other')


def test_a_teacher_of_saturated_predictions_is_read_again(tmp_path: Path) -> None:
    """The mean of many ones may be the number after 1."""
    mean = np.array([np.nextafter(1, 2), np.nextafter(-1, -2), 0.5])
    write_submission(tmp_path / 'teacher', of_teacher({'valence': {'a': mean}}, smoothed=False))
    found = read_predictions(tmp_path / 'teacher', 'train', 'valence')
    np.testing.assert_array_equal(found.preds['a'], [1.0, -1.0, 0.5])


def test_a_submission_killed_at_any_step_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    old, new = (FORMATS[name](PREDS, None, None) for name in ('per-video', 'per-target'))
    out = tmp_path / 'here/out'

    def prepare() -> None:
        shutil.rmtree(out.parent, ignore_errors=True)
        write_submission(out, old)

    told = set()
    for _ in killed_at_every_step(lambda: write_submission(out, new, overwrite=True), prepare):
        there = out.exists()
        notes = check_output(out, overwrite=True)
        assert bool(notes) == (not there)
        told |= set(notes)
        found = {str(p.relative_to(out)): p.read_text() for p in out.rglob('*.txt')}
        assert found in (old.files, new.files)
        assert [p.name for p in out.parent.iterdir()] == ['out']
    assert found == new.files
    assert told == {f'{out}: restored as it was; the process that was replacing it was killed'}
