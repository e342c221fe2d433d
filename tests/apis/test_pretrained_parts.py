"""Parts that start from another run's: what they learned on is held against the data of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import ROOT
from random_runs import make_run

from abawfw.apis.build import build_loader, check_pretrained
from abawfw.apis.train import build_runner
from abawfw.checkpoints import save_checkpoint
from abawfw.config.loading import load_config, resolve
from abawfw.errors import CheckpointError

CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'
TINY = {'hidden': 8, 'heads': 2, 'ffn': 8, 'layers': 1, 'regressor': [4], 'segment_length': 40}
FEATURES = ['affectnet', 'egemaps']
SCALAR = [{'type': 'LoadFeatures'}, {'type': 'Normalize', 'method': 'train_scalar'}, {'type': 'PackVA'}]
ENCODERS = {'affectnet': {'type': 'TCN', 'channels': [4], 'kernel': 3}}


def options(data: Path, **more: Any) -> dict[str, Any]:
    return {'data_root': str(data), 'features': FEATURES, **TINY, **more}


@pytest.fixture
def trained(demo_data: Path, tmp_path: Path) -> Path:
    run = make_run(tmp_path / 'trained', CONFIG, options(demo_data, **{'model.encoders': ENCODERS}))
    return run / 'best_ccc_valence_epoch_1.pth'


def notes(data: Path, source: Path, part: str = 'context.0', **more: Any) -> list[str]:
    given = options(data, **{'model.pretrained': {part: str(source)}, 'model.encoders': ENCODERS, **more})
    cfg = resolve(load_config(CONFIG, given))
    return list(check_pretrained(cfg, build_loader(cfg, 'train_dataloader').dataset))


@pytest.mark.parametrize('part', ['context.0', 'head', 'fusion', 'encoders.affectnet'])
def test_the_same_data_pass(demo_data: Path, trained: Path, part: str) -> None:
    assert notes(demo_data, trained, part) == []


def test_features_in_another_order_are_refused(demo_data: Path, trained: Path, tmp_path: Path) -> None:
    """The widths add up to the same, so that the weights would load."""
    cfg = load_config(
        CONFIG,
        options(
            demo_data,
            features=FEATURES[::-1],
            **{'model.pretrained': {'context.0': str(trained)}, 'model.encoders': ENCODERS},
        ),
    )
    with pytest.raises(CheckpointError) as caught:
        build_runner(cfg, tmp_path / 'run')
    text = str(caught.value)
    assert text.startswith(f'{trained}: its part context.0 was trained on affectnet (')
    assert '; this run has egemaps (' in text
    assert not (tmp_path / 'run').exists()


def test_features_normalised_in_another_way_are_refused(demo_data: Path, trained: Path) -> None:
    with pytest.raises(
        CheckpointError,
        match=r'context\.0 was trained on .*egemaps \(\d+,\).*this run has .*'
        r'egemaps \(\)',
    ):
        notes(demo_data, trained, **{'pipeline': SCALAR})


def test_a_part_of_one_feature_is_compared_by_it_alone(demo_data: Path, trained: Path) -> None:
    assert notes(demo_data, trained, 'encoders.affectnet', features=FEATURES[:1]) == []
    with pytest.raises(CheckpointError, match=r'encoders\.affectnet was trained on affectnet \(\d+\) with'):
        notes(demo_data, trained, 'encoders.affectnet', features=FEATURES[:1], pipeline=SCALAR)
    with pytest.raises(CheckpointError, match=r'context\.0 was trained on affectnet \(\d+\), egemaps'):
        notes(demo_data, trained, features=FEATURES[:1])


def test_statistics_of_other_training_videos_are_reported(demo_data: Path, trained: Path) -> None:
    """A network may go on from another data set; one of another fold may have seen what is validated on."""
    (line,) = notes(demo_data, trained, debug=2)
    assert f'model.pretrained.context.0: {trained} was trained on' in line
    assert 'another fold' in line


def test_a_checkpoint_that_does_not_say_what_it_learned_on_passes(demo_data: Path, tmp_path: Path) -> None:
    file = tmp_path / 'converted.pth'
    save_checkpoint({'meta': {}, 'state_dict': {'context.0.w': torch.zeros(2)}}, file)
    assert notes(demo_data, file) == []
