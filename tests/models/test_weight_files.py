"""Files of weights that a config names and that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from abawfw.apis.check import check_config
from abawfw.errors import ConfigError
from abawfw.models.weight_files import missing_weights


def model(tmp_path: Path, **more: Any) -> dict[str, Any]:
    (tmp_path / 'there.pth').touch()
    return {
        'type': 'VAEstimator',
        'backbones': {
            'video': {'type': 'IResNet', 'weights': str(tmp_path / 'face.pth')},
            'logmel': {'type': 'VGGish', 'weights': str(tmp_path / 'there.pth')},
            'other': {'type': 'VGGish'},
        },
        **more,
    }


def test_names_path_key_and_source(tmp_path: Path) -> None:
    (problem,) = missing_weights(model(tmp_path))
    title = f'model.backbones.video.weights: {tmp_path}/face.pth: no such file of weights; '
    assert problem.startswith(title)
    assert 'github.com/sucv/ABAW3' in problem


def test_pretrained_parts(tmp_path: Path) -> None:
    cfg = model(tmp_path, backbones=None, pretrained={'context.0': 'nowhere', 'head': str(tmp_path)})
    assert missing_weights(cfg) == ['model.pretrained.context.0: nowhere: no such checkpoint or run']


@pytest.mark.parametrize('broken', [None, 3, {}, {'backbones': 3}, {'backbones': {'video': 3}}])
def test_what_is_wrong_otherwise_is_told_elsewhere(broken: Any) -> None:
    assert missing_weights(broken) == []


def test_unknown_backbone(tmp_path: Path) -> None:
    (problem,) = missing_weights({'backbones': {'video': {'type': 'X', 'weights': 'nowhere.pth'}}})
    assert problem == 'model.backbones.video.weights: nowhere.pth: no such file of weights'


def test_only_training_asks_for_them(tmp_path: Path) -> None:
    cfg = Config({'model': model(tmp_path)})
    with pytest.raises(ConfigError) as problems:
        check_config(cfg, training=True)
    assert 'model.backbones.video.weights' in str(problems.value)
    with pytest.raises(ConfigError) as problems:
        check_config(cfg)
    assert 'no such file of weights' not in str(problems.value)
