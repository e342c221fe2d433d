"""Runs of earlier versions go on, test, compare and are averaged as before.

``0.1.0/`` was written by version 0.1.0 from ``make_demo_data.py data --videos 2 4 1 --scale 0.02 --seed 3``
and transformer_demo.py with four epochs and a hidden size of 8: ``seed0`` and ``seed1`` are trained and
tested, ``killed`` is ``seed0`` once more, killed after two epochs.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from apis.command_line import call

from abawfw.checkpoints import load_checkpoint
from abawfw.datasets.demo.rucaim3 import make_demo_data

OLD = Path(__file__).parent / '0.1.0'
FLOAT32 = 1e-4
"""What two epochs on another processor may change; a lost optimiser state changes 0.001 to 0.16."""


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of the old runs and the runs."""
    root = tmp_path_factory.mktemp('old')
    make_demo_data(root / 'data', videos=(2, 4, 1), scale=0.02, seed=3)
    shutil.copytree(OLD, root / 'work_dirs')
    return root


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def predictions(run: Path) -> dict[str, np.ndarray]:
    """What a run predicts, per file and video."""
    return {
        f'{file.name} {video}': np.array(entry['pred'])
        for file in (run / 'predictions').glob('*_pred_*smooth*.json')
        for video, entry in json.loads(file.read_text()).items()
    }


def figures(run: Path) -> list[dict[str, float]]:
    """``metrics.csv`` without what depends on the machine."""
    with open(run / 'metrics.csv', newline='') as file:
        return [
            {k: float(v) for k, v in row.items() if not k.endswith('seconds') and 'per_second' not in k}
            for row in csv.DictReader(file)
        ]


def test_goes_on(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The killed run ends as the one that was not killed had ended with version 0.1.0."""
    config = here / 'work_dirs/killed/config.py'
    outcome = call(capfd, 'train', config, '--work-dir', 'work_dirs/killed', '--resume')
    assert outcome.code == 0, outcome.err
    whole, resumed = figures(OLD / 'seed0'), figures(here / 'work_dirs/killed')
    assert [row['epoch'] for row in resumed] == [1, 2, 3, 4]
    for expected, found in zip(whole, resumed, strict=True):
        assert {k: found[k] for k in expected} == pytest.approx(expected, abs=FLOAT32)


def test_is_tested_again(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Networks and post-processing of the old run give the predictions that it had."""
    shutil.rmtree(here / 'work_dirs/seed0/predictions')
    outcome = call(capfd, 'test', 'work_dirs/seed0')
    assert outcome.code == 0, outcome.err
    expected, found = predictions(OLD / 'seed0'), predictions(here / 'work_dirs/seed0')
    # two targets: four videos of val raw, not clipped and smoothed, one of test raw and smoothed
    assert len(expected) == 2 * (3 * 4 + 2)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ('tool', 'arguments', 'said'),
    [
        ('report', ['work_dirs/seed1'], 'work_dirs/seed1/report.html'),
        ('compare', ['work_dirs/seed0', 'work_dirs/seed1'], 'seed1'),
        ('ensemble', ['work_dirs/seed0', 'work_dirs/seed1', '--smoothed', '--out', 'ensemble'], 'ensemble'),
    ],
)
def test_is_read(
    tool: str, arguments: list[str], said: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = call(capfd, tool, *arguments)
    assert outcome.code == 0, outcome.err
    assert said in outcome.out


def test_training_state_is_read() -> None:
    state = load_checkpoint(OLD / 'killed/epoch_2.pth')
    assert state['meta']['epoch'] == 2
    assert len(state['optimizer']['state']) == len(state['state_dict'])
