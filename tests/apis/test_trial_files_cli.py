"""Predictions as a file per trial, from tools/test.py to tools/ensemble.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import call, call_apart

from abawfw.prediction_files import read_predictions
from abawfw.results.trial_files import read_trial_files


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / 'run')


@pytest.mark.parametrize('out', [None, 'elsewhere'])
def test_files_beside_the_predictions(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], out: str | None
) -> None:
    options = ['--cfg-options', 'trial_files=True', *(['--out', tmp_path / out] if out else [])]
    found = call(capfd, 'test', run, *options)
    assert found.code == 0, found.err
    folder = tmp_path / out if out else run
    predictions = folder if out else run / 'predictions'
    for target in ('valence', 'arousal'):
        for partition, name in (('val', 'val'), ('test', 'tst')):
            texts = read_trial_files(folder, partition, target)
            preds = read_predictions(predictions, name, target).preds
            assert texts.keys() == preds.keys()
            for trial, values in texts.items():
                np.testing.assert_array_equal(values, preds[trial])
    files = {p for f in (folder / 'predict', predictions) for p in f.rglob('*') if p.is_file()}
    assert f'{len(files)} files written' in found.out


def test_none_unless_asked_for(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, 'test', run).code == 0
    assert not (run / 'predict').exists()


@pytest.mark.slow
def test_they_give_the_submission_of_the_run(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(capfd, 'test', run, '--cfg-options', 'trial_files=True').code == 0
    (tmp_path / 'texts').mkdir()
    shutil.move(run / 'predict', tmp_path / 'texts/predict')
    for name in ('run', 'texts'):
        found = call_apart('ensemble', tmp_path / name, '--out', tmp_path / 'submit' / name)
        assert found.code == 0, found.err
    a, b = (
        {
            p.relative_to(tmp_path / 'submit' / name): p.read_text()
            for p in (tmp_path / 'submit' / name).rglob('*.txt')
        }
        for name in ('run', 'texts')
    )
    assert a == b != {}
