"""A tested run as it is read for pages and comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.face_file import NAME, read_faces, write_faces
from abawfw.evaluation.functional import ccc
from abawfw.evaluation.prediction_files import write_predictions
from abawfw.evaluation.tested_run import TestedRun

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


def test_what_cannot_be_read_names_the_file(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match='gone: no such folder'):
        TestedRun(tmp_path / 'gone')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=r'no predictions of val; make them with: python tools/test\.py'):
        TestedRun(tmp_path / 'empty')
    (run / 'summary.json').write_text('{')
    with pytest.raises(DataError, match=r'summary\.json is damaged'):
        _ = TestedRun(run).summary
    (run / 'predictions' / NAME).write_text('{"a": 3}')
    with pytest.raises(DataError, match=rf'{NAME} is damaged'):
        _ = TestedRun(run).faces


def test_files_that_do_not_belong_together(run: Path) -> None:
    write_faces(run / 'predictions', {'a': np.array([True, False])})
    with pytest.raises(DataError, match='2 frames of video a, whose predictions have 4'):
        _ = TestedRun(run).faces
    for text in ('{"a": {"frames": 4, "without": [[-3, 3]]}}', '{"a": {"frames": 4, "without": [[2, 9]]}}'):
        (run / 'predictions' / NAME).write_text(text)
        with pytest.raises(DataError, match='video a of 4 frames: no face from'):
            _ = TestedRun(run).faces
    path = run / 'predictions/val_pred_arousal_smooth.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps({'b': content['b']}))
    with pytest.raises(DataError, match='has other videos than val_pred_arousal_nosmooth'):
        TestedRun(run).predictions('arousal')


def test_labels_are_those_of_the_same_file(run: Path) -> None:
    path = run / 'predictions/val_pred_arousal_nosmooth_ori.json'
    content = json.loads(path.read_text())
    content['a']['label'] = [0.1, 0.2, 0.3, 0.4]
    path.write_text(json.dumps(content))
    assert TestedRun(run).moments('arousal', 'raw')['a'].mean_true == pytest.approx(0.25)


@given(faces=st.lists(st.booleans(), max_size=30))
def test_faces_survive_their_file(faces: list[bool], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp('faces')
    expected = np.array(faces, dtype=bool)
    write_faces(folder, {'v': expected})
    found = read_faces(folder)
    assert found is not None
    np.testing.assert_array_equal(found['v'], expected)


def test_without_faces_an_earlier_file_goes(tmp_path: Path) -> None:
    assert write_faces(tmp_path, {'v': np.array([True, False])}) == [tmp_path / NAME]
    assert write_faces(tmp_path, {}) == []
    assert read_faces(tmp_path) is None
