"""A run as tests, ensembles, comparisons, pages and series read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc
from abawfw.prediction_files import file_name
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.results.side_files import FACES, read_faces, write_faces
from abawfw.results.trial_files import write_trial_files

LABELS = {'a': np.array([0.0, 0.5, np.nan, 0.25]), 'b': np.full(3, np.nan)}
PREDS = {'a': np.array([0.1, 1.5, 0.2, 0.3]), 'b': np.array([0.0, 0.1, 0.2])}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_predictions(tmp_path / 'run/predictions', 'val', 'arousal', PREDS, LABELS, 1)
    return tmp_path / 'run'


def test_predictions_labels_and_statistics(run: Path) -> None:
    found = Run(run).require_val()
    assert (found.name, found.targets) == ('run', ('arousal',))
    np.testing.assert_array_equal(found.predictions('arousal', 'raw')['a'], PREDS['a'])
    assert found.predictions('arousal', 'clipped')['a'].max() == 1
    np.testing.assert_array_equal(found.labels('arousal')['a'], LABELS['a'])
    moments = found.moments('arousal', 'raw')
    assert moments['a'].ccc == pytest.approx(ccc(LABELS['a'], PREDS['a']))
    assert (moments['a'].n, moments['b'].n) == (3, 0)


def test_a_run_of_an_older_version_has_empty_values(run: Path) -> None:
    found = Run(run)
    assert (found.summary, found.report, found.epochs, found.faces, found.tuned) == ({}, {}, [], None, ())


def test_files_beside_the_predictions(run: Path) -> None:
    (run / 'summary.json').write_text('{"seed": 3}')
    (run / 'metrics.csv').write_text('epoch,loss,best\n1,0.5,yes\n2,0.25,\n')
    rows = [{'target': 'arousal', 'stage': stage} for stage in ('raw', 'smoothed', 'cross-validated')]
    (run / 'predictions/report.json').write_text(json.dumps({'rows': {'val': rows}}))
    found = Run(run)
    assert found.summary == {'seed': 3}
    assert found.epochs == [{'epoch': 1, 'loss': 0.5}, {'epoch': 2, 'loss': 0.25}]
    assert found.tuned == ('arousal',)


def test_rows_that_make_no_sense_are_left_out(run: Path) -> None:
    rows = [{'target': [5], 'stage': 'cross-validated'}, 3, {'target': 'arousal', 'stage': 'raw'}]
    (run / 'predictions/report.json').write_text(json.dumps({'rows': {'val': rows}}))
    found = Run(run)
    assert found.rows == rows[2:]
    assert found.tuned == ()
    (run / 'summary.json').write_text('[' * 100_000)
    with pytest.raises(DataError, match=r'summary\.json is damaged'):
        _ = found.summary


def test_what_cannot_be_read_names_the_file(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match='gone: no such folder'):
        Run(tmp_path / 'gone').require_val()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=r'no predictions of val; make them with: python tools/test\.py'):
        Run(tmp_path / 'empty').require_val()
    for text in ('{', '[]', '3'):
        (run / 'summary.json').write_text(text)
        with pytest.raises(DataError, match=r'summary\.json is damaged'):
            _ = Run(run).summary
    (run / 'predictions' / FACES).write_text('{"a": 3}')
    with pytest.raises(DataError, match=rf'{FACES} is damaged'):
        _ = Run(run).faces


def test_faces_of_another_test(run: Path) -> None:
    for text, message in (
        ('{"a": {"frames": 2, "without": []}}', '2 and not 4 frames of video a'),
        ('{"a": {"frames": 1000000000000000, "without": []}}', 'and not 4 frames of video a'),
        ('{"a": {"frames": 4, "without": [[-3, 3]]}}', 'video a of 4 frames: no face from -3 to 3'),
        ('{"a": {"frames": 4, "without": [[2, 9]]}}', 'video a of 4 frames: no face from 2 to 9'),
    ):
        (run / 'predictions' / FACES).write_text(text)
        with pytest.raises(DataError, match=message):
            _ = Run(run).faces


def test_where_the_files_of_a_run_lie(tmp_path: Path) -> None:
    assert Run(tmp_path).folder == tmp_path
    (tmp_path / 'predictions').mkdir()
    assert Run(tmp_path).folder == tmp_path / 'predictions'
    assert not Run(tmp_path / 'gone').path.exists()  # which is asked for its status before it begins


def test_a_run_without_a_test_is_told_to_be_tested(tmp_path: Path) -> None:
    (tmp_path / 'config.py').touch()
    with pytest.raises(DataError, match=rf'{tmp_path} has no predictions; test it first: .* {tmp_path}$'):
        Run(tmp_path).read('val', 'valence')


BEST = {'ccc_arousal': {'score': 0.4, 'epoch': 2, 'file': 'best_ccc_arousal_epoch_2.pth'}}
SUMMARY = {'status': 'done', 'best': BEST}
MADE_WITH = {'checkpoint': '../best_ccc_arousal_epoch_2.pth', 'digest': ''}


def report(made_with: dict[str, str] = MADE_WITH, **stages: float) -> dict[str, Any]:
    rows = [{'target': 'arousal', 'stage': stage, 'ccc': ccc} for stage, ccc in stages.items()]
    return {'rows': {'val': rows}, 'made_with': {'val': {'arousal': made_with}}}


@pytest.mark.parametrize(
    ('summary', 'report', 'status', 'scores'),
    [
        (None, None, None, None),  # has not begun
        ('{"status": "run', None, None, None),  # no run of ours leaves half a file, but a copy may
        ({'status': 'running', 'best': {}}, None, 'running', None),
        (SUMMARY, None, 'done', None),
        (SUMMARY, '{"rows": ', 'done', None),
        (SUMMARY, report(raw=0.3, smoothed=0.5), 'done', (0.4, 0.5)),
        (SUMMARY, report(smoothed=0.5, **{'cross-validated': 0.45}), 'done', (0.4, 0.45)),
        (SUMMARY, report(raw=0.3), 'done', None),
        (SUMMARY, report({**MADE_WITH, 'checkpoint': '../epoch_1.pth'}, smoothed=0.5), 'done', None),
        ({**SUMMARY, 'best': {'ccc_arousal': 3}}, report(smoothed=0.5), 'done', None),
    ],
)
def test_how_far_a_run_is(run: Path, summary: Any, report: Any, status: str | None, scores: Any) -> None:
    for name, content in (('summary.json', summary), ('predictions/report.json', report)):
        if content is not None:
            (run / name).write_text(content if isinstance(content, str) else json.dumps(content))
    found = Run(run)
    assert found.status == status
    of_both = None if scores is None else dict(zip(('ccc', 'ccc_smoothed'), scores, strict=True))
    expected = of_both and of_both | {f'ccc_arousal{k[3:]}': v for k, v in of_both.items()}
    assert found.scores(['arousal']) == expected
    assert found.scores(['valence', 'arousal']) is None
    assert scores is None or found.best == BEST


def test_the_config_is_read_and_not_run(run: Path) -> None:
    (run / 'config.py').write_text("lr = 0.5\nmodel = {'type': 'x', 'lr': '${lr}'}\n")
    assert Run(run).config.to_dict() == {'lr': 0.5, 'model': {'type': 'x', 'lr': '${lr}'}}
    (run / 'config.py').write_text('import os\n')
    with pytest.raises(ConfigError, match=r'config\.py cannot be read .* with --resume writes it anew'):
        _ = Run(run).config


def test_predictions_as_text_files_alone(tmp_path: Path) -> None:
    write_trial_files(tmp_path, 'test', 'valence', {'t': [0.25, 0.5]})
    found = Run(tmp_path)
    assert (found.texts_only, found.targets, found.tuned) == (True, (), ())
    assert found.estimates('valence')
    assert not found.estimates('arousal')
    assert found.has('test', 'valence')
    assert not found.has('val', 'valence')
    np.testing.assert_array_equal(found.read('test', 'valence').preds['t'], [0.25, 0.5])
    with pytest.raises(DataError, match='has no smoothed predictions; omit --smoothed'):
        found.read('test', 'valence', 'smoothed')


def test_what_a_run_estimates(run: Path) -> None:
    assert not Run(run).estimates('valence')  # nothing is known of it but its files
    for best, expected in (({}, True), ({'ccc_arousal': {}}, False), ({'ccc_valence': {}}, True)):
        (run / 'summary.json').write_text(json.dumps({'best': best}))
        assert Run(run).estimates('valence') is expected
    assert Run(run / 'gone').estimates('valence')  # so that reading says what is missing


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
            Run(run).predictions('arousal', stage)
        assert f'python tools/test.py {run}' in str(error.value)


def test_the_order_of_videos_in_a_file_does_not_matter(run: Path) -> None:
    before = Run(run).predictions('arousal')
    change(run, 'smoothed', lambda c: dict(reversed(list(c.items()))))
    after = Run(run).predictions('arousal')
    assert list(after) == list(before)
    np.testing.assert_array_equal(after['a'], before['a'])


def test_a_missing_file_is_named(run: Path) -> None:
    (run / 'predictions' / file_name('val', 'arousal', 'clipped')).unlink()
    found = Run(run)
    assert found.targets == ('arousal',)
    with pytest.raises(DataError, match=r'val_pred_arousal_nosmooth\.json is missing'):
        found.predictions('arousal')


def test_a_table_of_epochs_that_is_no_text(run: Path) -> None:
    (run / 'metrics.csv').write_bytes(b'epoch\n\xff\n')
    with pytest.raises(
        DataError, match=r'metrics\.csv: cannot be read: it is no text in UTF-8.*move it away'
    ):
        _ = Run(run).epochs


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('epoch,lr\n1,0.1\n2\n', 'line 3 has not the columns of line 1'),
        ('epoch,lr\n1,0.1,2\n', 'line 2 has not the columns of line 1'),
        ('[]\n', 'it has no column epoch'),
    ],
)
def test_a_table_of_epochs_that_is_cut_or_another(run: Path, content: str, message: str) -> None:
    (run / 'metrics.csv').write_text(content)
    with pytest.raises(DataError, match=rf'metrics\.csv is damaged: {message}; move it away'):
        _ = Run(run).epochs


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
