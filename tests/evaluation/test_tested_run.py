"""A tested run as it is read for pages and comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import ccc
from abawfw.results.predictions import file_name, write_predictions
from abawfw.results.side_files import FACES, read_faces, write_faces
from abawfw.results.tested_run import TestedRun

LABELS = {'a': np.array([0.0, 0.5, np.nan, 0.25]), 'b': np.full(3, np.nan)}
PREDS = {'a': np.array([0.1, 1.5, 0.2, 0.3]), 'b': np.array([0.0, 0.1, 0.2])}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_predictions(tmp_path / 'run/predictions', 'val', 'arousal', PREDS, LABELS, 1)
    return tmp_path / 'run'


def test_predictions_labels_and_statistics(run: Path) -> None:
    found = TestedRun(run)
    assert (found.name, found.targets) == ('run', ('arousal',))
    np.testing.assert_array_equal(found.predictions('arousal', 'raw')['a'], PREDS['a'])
    assert found.predictions('arousal', 'clipped')['a'].max() == 1
    np.testing.assert_array_equal(found.labels('arousal')['a'], LABELS['a'])
    moments = found.moments('arousal', 'raw')
    assert moments['a'].ccc == pytest.approx(ccc(LABELS['a'], PREDS['a']))
    assert (moments['a'].n, moments['b'].n) == (3, 0)


def test_a_run_of_an_older_version_has_empty_values(run: Path) -> None:
    found = TestedRun(run)
    assert (found.summary, found.report, found.epochs, found.faces, found.tuned) == ({}, {}, [], None, ())


def test_files_beside_the_predictions(run: Path) -> None:
    (run / 'summary.json').write_text('{"seed": 3}')
    (run / 'metrics.csv').write_text('epoch,loss,best\n1,0.5,yes\n2,0.25,\n')
    rows = [{'target': 'arousal', 'stage': stage} for stage in ('raw', 'smoothed', 'cross-validated')]
    (run / 'predictions/report.json').write_text(json.dumps({'rows': {'val': rows}}))
    found = TestedRun(run)
    assert found.summary == {'seed': 3}
    assert found.epochs == [{'epoch': 1, 'loss': 0.5}, {'epoch': 2, 'loss': 0.25}]
    assert found.tuned == ('arousal',)


def test_rows_that_make_no_sense_are_left_out(run: Path) -> None:
    rows = [{'target': [5], 'stage': 'cross-validated'}, 3, {'target': 'arousal', 'stage': 'raw'}]
    (run / 'predictions/report.json').write_text(json.dumps({'rows': {'val': rows}}))
    found = TestedRun(run)
    assert found.rows == rows[2:]
    assert found.tuned == ()
    (run / 'summary.json').write_text('[' * 100_000)
    with pytest.raises(DataError, match=r'summary\.json is damaged'):
        _ = found.summary


def test_what_cannot_be_read_names_the_file(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match='gone: no such folder'):
        TestedRun(tmp_path / 'gone')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=r'no predictions of val; make them with: python tools/test\.py'):
        TestedRun(tmp_path / 'empty')
    for text in ('{', '[]', '3'):
        (run / 'summary.json').write_text(text)
        with pytest.raises(DataError, match=r'summary\.json is damaged'):
            _ = TestedRun(run).summary
    (run / 'predictions' / FACES).write_text('{"a": 3}')
    with pytest.raises(DataError, match=rf'{FACES} is damaged'):
        _ = TestedRun(run).faces


def test_faces_of_another_test(run: Path) -> None:
    for text, message in (
        ('{"a": {"frames": 2, "without": []}}', '2 and not 4 frames of video a'),
        ('{"a": {"frames": 1000000000000000, "without": []}}', 'and not 4 frames of video a'),
        ('{"a": {"frames": 4, "without": [[-3, 3]]}}', 'video a of 4 frames: no face from -3 to 3'),
        ('{"a": {"frames": 4, "without": [[2, 9]]}}', 'video a of 4 frames: no face from 2 to 9'),
    ):
        (run / 'predictions' / FACES).write_text(text)
        with pytest.raises(DataError, match=message):
            _ = TestedRun(run).faces


def change(run: Path, stage: str, change: Callable[[dict[str, Any]], object]) -> None:
    path = run / 'predictions' / file_name('val', 'arousal', stage)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))


def test_files_of_different_tests(run: Path) -> None:
    """Raw, clipped and smoothed predictions are of the same videos, frames and labels."""
    for stage, spoil, message in (
        ('smoothed', lambda c: {'b': c['b']}, 'only val_pred_arousal_nosmooth.json has the videos a'),
        (
            'raw',
            lambda c: c['a'].update(pred=[0.0] * 3, label=[0.0] * 3),
            r'number of frames of a \(4 and 3\)',
        ),
        ('smoothed', lambda c: c['a'].update(label=[0.1, 0.2, 0.3, 0.4]), 'differ in the labels of a'),
    ):
        write_predictions(run / 'predictions', 'val', 'arousal', PREDS, LABELS, 1)
        change(run, stage, spoil)
        with pytest.raises(DataError, match=message) as error:
            TestedRun(run).predictions('arousal', stage)
        assert f'python tools/test.py {run}' in str(error.value)


def test_the_order_of_videos_in_a_file_does_not_matter(run: Path) -> None:
    before = TestedRun(run).predictions('arousal')
    change(run, 'smoothed', lambda c: dict(reversed(list(c.items()))))
    after = TestedRun(run).predictions('arousal')
    assert list(after) == list(before)
    np.testing.assert_array_equal(after['a'], before['a'])


def test_a_missing_file_is_named(run: Path) -> None:
    (run / 'predictions' / file_name('val', 'arousal', 'clipped')).unlink()
    found = TestedRun(run)
    assert found.targets == ('arousal',)
    with pytest.raises(DataError, match=r'val_pred_arousal_nosmooth\.json is missing'):
        found.predictions('arousal')


def test_a_table_of_epochs_that_is_no_text(run: Path) -> None:
    (run / 'metrics.csv').write_bytes(b'epoch\n\xff\n')
    with pytest.raises(DataError, match=r'metrics\.csv is damaged.*move it away'):
        _ = TestedRun(run).epochs


@given(faces=st.lists(st.booleans(), max_size=30))
def test_faces_survive_their_file(faces: list[bool], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp('faces')
    expected = np.array(faces, dtype=bool)
    write_faces(folder, {'v': expected, 'unknown': expected})
    found = read_faces(folder, {'v': len(faces)})
    assert found is not None
    assert list(found) == ['v']
    np.testing.assert_array_equal(found['v'], expected)


def test_without_faces_an_earlier_file_goes(tmp_path: Path) -> None:
    assert write_faces(tmp_path, {'v': np.array([True, False])}) == [tmp_path / FACES]
    assert write_faces(tmp_path, {}) == []
    assert read_faces(tmp_path, {'v': 2}) is None


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        ([True, 3, 'x'], 'where an object is expected'),
        ({'frames': 4, 'without': [[0, 'x']]}, 'no pair of frames'),
    ],
)
def test_faces_of_another_shape_are_named(tmp_path: Path, entry: object, message: str) -> None:
    (tmp_path / FACES).write_text(json.dumps({'val_0': entry}))
    with pytest.raises(DataError, match=f'video val_0: .*{message}'):
        read_faces(tmp_path, {'val_0': 4})
