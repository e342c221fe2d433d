from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments, moments, smooth_and_clip
from abawfw.evaluation.postprocess import AffineCalibration, GapInterpolation, Pipeline
from abawfw.prediction_files import read_predictions
from abawfw.results.predictions import write_predictions

SYSTEMS = ('transformer', 'transformer_attention_multihead')


@pytest.fixture
def results(golden: Path) -> Path:
    return golden / 'pipeline_mini' / 'test_results'


def result_file(path: Path) -> dict[str, float]:
    return {k: float(v) for k, v in (line.split(':\t') for line in path.read_text().splitlines())}


@pytest.mark.parametrize('system', SYSTEMS)
@pytest.mark.parametrize('target', ['valence', 'arousal'])
def test_golden_files_are_reproduced(results: Path, tmp_path: Path, system: str, target: str) -> None:
    folder = results / system
    raw, labels = read_predictions(folder, 'val', target, raw=True)
    assert labels is not None
    expected = result_file(folder / f'val_pred_{target}_result.txt')
    window = int(expected['setting window'])
    smoothed = read_predictions(folder, 'val', target, smoothed=True).preds
    for video in raw:
        np.testing.assert_allclose(smooth_and_clip(raw[video], window), smoothed[video], rtol=0, atol=1e-6)

    paths = write_predictions(tmp_path, 'val', target, raw, labels, window)
    for path in paths:
        theirs = folder / path.name
        if path.suffix == '.txt':
            ours = result_file(path)
            assert list(ours) == list(expected)
            assert path.read_text().splitlines()[3] == theirs.read_text().splitlines()[3]
            assert ours == pytest.approx(expected, abs=1e-6)
            continue
        a, b = json.loads(path.read_text()), json.loads(theirs.read_text())
        assert list(a) == list(b)
        for video in a:
            assert list(a[video]) == list(b[video])
            np.testing.assert_allclose(a[video]['pred'], b[video]['pred'], rtol=0, atol=1e-6)
            np.testing.assert_allclose(a[video]['label'], b[video]['label'], rtol=0, atol=1e-6)
    names = {path.name for path in paths}
    assert names == {p.name for p in folder.iterdir() if p.name.startswith(f'val_pred_{target}')}
    test = read_predictions(folder, 'tst', target)
    paths = write_predictions(tmp_path, 'tst', target, test.preds, None, window)
    assert {p.name for p in paths} == {
        p.name for p in folder.iterdir() if p.name.startswith(f'tst_pred_{target}')
    }


def test_golden_ccc_of_smoothed_file(results: Path) -> None:
    for system in SYSTEMS:
        for target in ('valence', 'arousal'):
            preds, labels = read_predictions(results / system, 'val', target, smoothed=True)
            assert labels is not None
            found = Moments.pool(moments(labels[v], preds[v]) for v in preds).ccc
            expected = result_file(results / system / f'val_pred_{target}_result.txt')['smoothed_ccc']
            assert found == pytest.approx(expected, abs=1e-6)


def test_round_trip_with_invalid_labels(tmp_path: Path) -> None:
    preds = {'b': np.array([1.5, -0.25, 0.1]), 'a': np.array([0.3])}
    labels = {'b': np.array([np.nan, 0.5, -1.0]), 'a': np.array([0.2])}
    write_predictions(tmp_path, 'val', 'valence', preds, labels, 1)
    content = json.loads((tmp_path / 'val_pred_valence_nosmooth.json').read_text())
    assert content['b'] == {'video_id': 'b', 'pred': [1.0, -0.25, 0.1], 'label': [-5.0, 0.5, -1.0]}
    raw, read = read_predictions(tmp_path, 'val', 'valence', raw=True)
    assert list(raw) == ['b', 'a']
    assert read is not None
    np.testing.assert_array_equal(raw['b'], preds['b'])
    np.testing.assert_array_equal(read['b'], labels['b'])
    expected = Moments.pool(moments(labels[v], preds[v]) for v in preds).ccc
    assert result_file(tmp_path / 'val_pred_valence_result.txt')['nosmooth_ori_ccc'] == expected
    write_predictions(tmp_path, 'tst', 'valence', preds, None, 1)
    assert read_predictions(tmp_path, 'tst', 'valence', smoothed=True).labels is None
    assert [p for p in tmp_path.iterdir() if p.suffix == '.tmp'] == []


def test_smoothed_is_what_post_processing_gives(tmp_path: Path) -> None:
    preds = {'a': np.array([0.2, -0.9, 0.6, 0.8])}
    labels, faces = {'a': np.array([0.1, 0.2, np.nan, 0.6])}, {'a': np.array([True, False, True, True])}
    pipeline = Pipeline([GapInterpolation(1), AffineCalibration(2.0, -0.1)])
    write_predictions(tmp_path, 'val', 'valence', preds, labels, pipeline, faces)
    expected = np.array([0.3, 0.7, 1.0, 1.0])
    smoothed = read_predictions(tmp_path, 'val', 'valence', smoothed=True).preds['a']
    np.testing.assert_allclose(smoothed, expected, atol=1e-12)
    np.testing.assert_array_equal(read_predictions(tmp_path, 'val', 'valence').preds['a'], preds['a'])
    lines = (tmp_path / 'val_pred_valence_result.txt').read_text().splitlines()
    assert float(lines[2].removeprefix('smoothed_ccc:\t')) == pytest.approx(
        moments(labels['a'], expected).ccc
    )
    assert lines[3] == (
        'post-processing:\tGapInterpolation(limit=1), AffineCalibration(slope=2, intercept=-0.1)'
    )


def test_nothing_is_written_of_bad_predictions(tmp_path: Path) -> None:
    good = {'a': np.zeros(3)}
    for preds, labels, message in (
        ({'a': np.array([0.0, np.nan, 0.0])}, good, 'video a: predictions of arousal are not one finite'),
        (good, {'a': np.zeros(2)}, 'video a: 3 predictions of arousal, but 2 labels'),
        (good, {}, 'video a: 3 predictions of arousal, but 0 labels'),
        (good, None, 'together with their labels'),
        (good, {'a': np.array([0, 0, 1.5])}, r'video a, frame 2: label 1.5 of arousal'),
    ):
        with pytest.raises(DataError, match=message):
            write_predictions(tmp_path / 'new', 'val', 'arousal', preds, labels, 2)
    with pytest.raises(ConfigError, match=r"no partition 'test'.*train, val, tst"):
        write_predictions(tmp_path / 'new', 'test', 'arousal', good, good, 2)
    assert not (tmp_path / 'new').exists()


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r'val_pred_valence_nosmooth.json is missing.*python tools/test.py RUN\.'
    ):
        read_predictions(tmp_path, 'val', 'valence')
    with pytest.raises(DataError, match='--partition test'):
        read_predictions(tmp_path, 'tst', 'valence')
    path = tmp_path / 'val_pred_valence_nosmooth.json'
    for text, message in (
        ('{"a": {"pred": [1', 'is damaged: no JSON'),
        ('[1]', 'no prediction file'),
        ('{"a": {"label": [1]}}', 'no prediction file'),
        ('{}', 'holds no video'),
        ('{"a": {"pred": [0, NaN]}}', r'video a, frame 1: "pred" is nan, which is not a number in \[-1, 1\]'),
        ('{"a": {"pred": [0, null]}}', 'video a, frame 1: "pred" is null, no number'),
        ('{"a": {"pred": ["0.1"]}}', 'video a, frame 0: "pred" is "0.1", no number'),
        ('{"a": {"pred": 0.5}}', 'video a: "pred" is float, not a list'),
        (
            '{"a": {"pred": [250.0]}}',
            r'video a, frame 0: "pred" is 250.0, which is not a number in ' r'\[-1, 1\]',
        ),
        (f'{{"a": {{"pred": [1{"0" * 400}]}}}}', 'video a: "pred" holds a number that is too large'),
        ('{"a": {"pred": [0], "label": 1}}', 'video a: "label" is int, not a list'),
        ('{"a": {"pred": [0], "label": [1.5]}}', 'video a, frame 0: "label" is 1.5'),
        ('{"a": {"pred": [0], "label": [0, 0]}}', 'video a: 1 prediction, but 2 labels'),
        ('{"a": {"pred": [0], "label": [0]}, "b": {"pred": [0]}}', '1 video has labels, but not b'),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message) as error:
            read_predictions(tmp_path, 'val', 'valence')
        assert str(path) in str(error.value)
        assert str(error.value).endswith('write it again with: python tools/test.py RUN')
