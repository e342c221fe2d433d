from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abawfw.errors import ConfigError, DataError
from abawfw.results.trial_files import has_trial_files, read_trial_files, write_trial_files

PREDS = {'b-1': np.array([0.1, -1.5, 1 / 3]), 'a.left': np.array([0.25])}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    paths = write_trial_files(tmp_path, 'test', 'valence', PREDS)
    assert paths == [tmp_path / f'predict/extra/valence/{name}.txt' for name in ('b-1', 'a.left')]
    assert paths[0].read_text() == f'valence\n0.1\n-1.0\n{1 / 3}\n'
    read = read_trial_files(tmp_path, 'test', 'valence')
    assert list(read) == ['a.left', 'b-1']
    np.testing.assert_array_equal(read['b-1'], [0.1, -1.0, 1 / 3])
    assert has_trial_files(tmp_path, 'test', 'valence')
    assert not has_trial_files(tmp_path, 'val', 'valence')
    assert not has_trial_files(tmp_path, 'test', 'arousal')
    write_trial_files(tmp_path, 'val', 'arousal', PREDS)
    assert (tmp_path / 'predict/val/arousal/a.left.txt').read_text() == 'arousal\n0.25\n'


def test_files_of_the_reference(golden_tagf: Path) -> None:
    read = read_trial_files(golden_tagf / 'generate_result/va', 'test', 'valence')
    assert {name: len(values) for name, values in read.items()} == {
        '1-30-1280x720': 5,
        'v.3': 3,
        'video2': 4,
        'video2_left': 6,
    }
    assert read['v.3'].tolist() == [-0.3674, -0.7951, 0.9811]


def test_all_files_that_are_wrong_are_listed(tmp_path: Path) -> None:
    place = tmp_path / 'predict/extra/arousal'
    place.mkdir(parents=True)
    for name, text in {
        'a': 'valence\n0.1\n',
        'b': 'arousal\n0.1\nx\n',
        'c': 'arousal\n0.1\n0.2\nnan\n',
        'd': 'arousal\n',
        'e': '',
        'good': 'arousal\n0.5\n',
    }.items():
        (place / f'{name}.txt').write_text(text)
    with pytest.raises(DataError) as error:
        read_trial_files(tmp_path, 'test', 'arousal')
    for text in (
        '5 files cannot be used',
        f"{place}/a.txt: header 'valence', expected 'arousal'",
        f"{place}/b.txt, line 3 (frame 1): 'x' is no finite number",
        f'{place}/c.txt, line 4 (frame 2)',
        f'{place}/d.txt: no value',
        f"{place}/e.txt: header ''",
    ):
        assert text in str(error.value)
    assert 'good' not in str(error.value)


def test_nothing_is_written_of_bad_predictions(tmp_path: Path) -> None:
    for preds in (
        {'a': np.zeros(2), 'b': np.array([np.nan])},
        {'../a': np.zeros(2)},
        {'a': np.zeros((2, 1))},
    ):
        with pytest.raises(DataError, match='trial'):
            write_trial_files(tmp_path / 'run', 'test', 'valence', preds)
    with pytest.raises(ConfigError, match='train'):
        write_trial_files(tmp_path / 'run', 'train', 'valence', PREDS)
    assert not (tmp_path / 'run').exists()
    with pytest.raises(DataError, match='trial_files = True'):
        read_trial_files(tmp_path, 'test', 'valence')
