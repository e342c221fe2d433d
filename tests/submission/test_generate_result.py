"""TAGF's own predictions through tools/ensemble.py: its file, or a list of what is wrong and no file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_ensemble import command

REPAIRS = [
    'repaired: video2: 7 rows in the sample, 4 predictions: the last value is repeated 3 x',
    'repaired: video2_left: 3 rows in the sample, 6 predictions: the last 3 are omitted',
]


@pytest.fixture
def given(golden_tagf: Path, tmp_path: Path) -> Path:
    """A copy of the inputs, to be spoilt."""
    return shutil.copytree(golden_tagf / 'generate_result', tmp_path / 'given')


def submit(given: Path, *more: object) -> tuple[int, str, str]:
    out = ['--out', given.parent / 'out', '--format', 'abaw', '--sample', given / 'sample.txt']
    done = command(given / 'va', given / 'ar', *out, *more)
    assert 'Traceback' not in done.stderr
    assert (given.parent / 'out').exists() == (done.returncode == 0)
    return done.returncode, done.stdout, done.stderr


def test_same_file_within_the_stated_limit(given: Path) -> None:
    code, printed, error = submit(given, '--allow-repair', 3)
    assert code == 0, error
    made = (given.parent / 'out/predictions.txt').read_text()
    assert made == (given / 'out/fold0.txt').read_text()
    lines = printed.splitlines()
    assert [line for line in lines if line.startswith('repaired')] == REPAIRS
    assert lines[-1] == f'18 rows in 1 file: {given.parent / "out"}'


def test_refused_beyond_the_limit(given: Path) -> None:
    code, _, error = submit(given)
    assert code == 2
    assert 'video2: 7 rows in the sample, 4 predictions; at most 2 are repaired' in error
    assert 'video2_left: 3 rows in the sample, 6 predictions; at most 2 are repaired' in error
    assert '1-30' not in error


def test_a_missing_trial(given: Path) -> None:
    for target in ('va/predict/extra/valence', 'ar/predict/extra/arousal'):
        (given / target / 'v.3.txt').unlink()
    code, _, error = submit(given, '--allow-repair', 3)
    assert (code, 'v.3: 3 rows in the sample, no predictions' in error) == (2, True)


def test_a_trial_of_one_target_alone(given: Path) -> None:
    for trial in ('v.3', 'video2'):
        (given / f'ar/predict/extra/arousal/{trial}.txt').unlink()
    code, _, error = submit(given, '--allow-repair', 3)
    assert code == 2
    assert 'differ in 2 videos:\n  v.3: 3 and 0 frames\n  video2: 4 and 0 frames' in error


def test_everything_beyond_the_limit_is_listed(given: Path) -> None:
    rows = [f'trial{i}/{k:05d}.jpg,-5,-5' for i in range(40) for k in (1, 2)]
    (given / 'sample.txt').write_text('\n'.join(['image_location,valence,arousal', *rows]) + '\n')
    code, _, error = submit(given)
    assert code == 2
    assert sum('2 rows in the sample, no predictions' in line for line in error.splitlines()) == 40


def test_a_wrong_sample(given: Path) -> None:
    shutil.copy(given / 'testset.txt', given / 'sample.txt')
    code, _, error = submit(given)
    assert code == 2
    assert "header '1-30-1280x720'" in error
    assert "line 4: 'v.3', expected VIDEO/00001.jpg" in error
