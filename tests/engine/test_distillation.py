"""A student of stored predictions: trained, resumed, loaded in any way, and refused before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from config.config_stores import write_teacher
from same_run import assert_same_run, rows
from tiny_runs import ROOT, tiny_config, tiny_overrides

from abawfw.apis.check import check_config
from abawfw.apis.train import train
from abawfw.config.loading import load_config
from abawfw.datasets.stores import open_store
from abawfw.errors import CheckpointError, ConfigError
from abawfw.json_files import read_json
from abawfw.prediction_files import file_name
from abawfw.results.predictions import to_json

CONFIG = ROOT / 'configs/rucaim3/fclstm_xl_distilled_demo.py'
LOADING = 'train_dataloader.loading.type'


@pytest.fixture(scope='module')
def teacher(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp('teacher'), tiny_data)


def config(data: Path, teacher: Path, **more: Any) -> Any:
    values = tiny_overrides('fclstm_xl', data, **{'epochs': 2, 'teacher': str(teacher), **more})
    return load_config(CONFIG, values)


def test_the_same_bits_resumed_by_the_same_teacher_however_it_is_loaded(
    tiny_data: Path, teacher: Path, tmp_path: Path
) -> None:
    """The second epoch with clips that are read each time, in place of data that stay in memory."""
    whole, parted = tmp_path / 'whole', tmp_path / 'parted'
    train(config(tiny_data, teacher, **{LOADING: 'Resident'}), whole)
    shutil.copytree(whole, parted)
    (parted / 'epoch_2.pth').unlink()
    train(config(tiny_data, teacher, **{LOADING: 'Stream'}), parted, resume=True)
    assert_same_run(whole, parted)
    assert float(rows(whole)[0]['loss']) > 1.5  # of two losses that begin at 1 each

    (parted / 'epoch_2.pth').unlink()
    moved = shutil.copytree(teacher, tmp_path / 'moved')
    train(config(tiny_data, moved), parted, resume=True)
    assert_same_run(whole, parted)
    path = moved / 'predictions' / file_name('train', 'arousal', 'clipped')
    curves = {video: np.array(entry['pred']) for video, entry in read_json(path).items()}
    curves[next(iter(curves))][-1] -= 1e-3
    path.write_text(to_json(curves))
    with pytest.raises(CheckpointError, match='are now: teacher_predictions differ'):
        train(config(tiny_data, moved, epochs=3), parted, resume=True)


CASES = {
    'no loss': 'LoadPredictions: no loss of the head asks it: add DistillationLoss',
    'validated on': 'has learned from 1 video that the run validates on, such as ',
    'other videos': 'predictions of train are of other videos: 1 video of 5 not among them: ',
    'in validation': 'predictions of train are of other videos: 2 videos of 2 not among them: ',
    'target': "targets[0]: must be 'valence' or 'arousal', not 'dominance'",
    'missing': 'train_pred_valence_nosmooth.json is missing',
}


@pytest.mark.parametrize('case', CASES)
def test_what_is_refused_before_the_run(case: str, tiny_data: Path, teacher: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {}
    folder = shutil.copytree(teacher, tmp_path / 'teacher')
    if case == 'no loss':
        more['losses'] = [{'type': 'CCCLoss'}]
    elif case == 'in validation':
        more['val_dataloader.dataset.pipeline'] = [{'type': 'LoadFeatures'}, '${taught}', {'type': 'PackVA'}]
    elif case == 'target':
        more['taught.targets'] = ['dominance']
    elif case == 'missing':
        shutil.rmtree(folder)
    else:
        validated = next(v.video_id for v in open_store(tiny_data).videos() if v.partition == 'val')
        for target in ('valence', 'arousal'):
            path = folder / 'predictions' / file_name('train', target, 'clipped')
            curves = {video: np.array(entry['pred']) for video, entry in read_json(path).items()}
            first = next(iter(curves))
            if case == 'other videos':
                del curves[first]
            else:
                curves[validated] = curves[first]
            path.write_text(to_json(curves))
    with pytest.raises(ConfigError) as refused:
        check_config(config(tiny_data, folder, **more), training=True)
    assert CASES[case] in str(refused.value)


def test_a_loss_without_a_teacher_is_refused(tiny_data: Path) -> None:
    values = tiny_overrides('fclstm_xl', tiny_data, losses=[{'type': 'DistillationLoss'}])
    with pytest.raises(ConfigError, match=r"needs a teacher: put dict\(type='LoadPredictions'"):
        check_config(load_config(tiny_config('fclstm_xl'), values), training=True)
