"""From a state dict of Mamba-VA to predictions, by command lines alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import ROOT, call
from golden_recipe import fill, parameter_names
from torch import Tensor

from abawfw.datasets.stores.trials.writer import TrialWriter

SMALL = """
_base_ = '{configs}/mamba_va_faithful_affwild2.py'
split = dict(_delete_=True, type='OfficialSplit')
channels = [16, 14, 12, 10]
kernel = 5
layers = 2
states = 4
regressor = [6]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'small.py'
    path.write_text(SMALL.format(configs=ROOT / 'configs/mamba_va'))
    return path


@pytest.fixture
def stored(golden_mamba_va: Path) -> dict[str, Tensor]:
    """The golden weights, with the second names that the reference's convolutions and slopes have."""
    weights = fill(parameter_names(golden_mamba_va)['model_small'], 'model_small')
    second = {'conv1': 'net.0', 'relu1': 'net.2', 'conv2': 'net.4', 'relu2': 'net.6'}
    for name, tensor in list(weights.items()):
        for part, alias in second.items():
            if f'.{part}.' in name:
                weights[name.replace(part, alias)] = tensor
    return weights


def test_the_same_numbers(
    golden_mamba_va: Path,
    config: Path,
    stored: dict[str, Tensor],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    torch.save({f'module.{k}': v for k, v in stored.items()}, tmp_path / 'state_dict.pth')
    out = tmp_path / 'converted/model.pth'
    options = ['--system', 'mamba_va', tmp_path / 'state_dict.pth', out, '--config', config]
    found = call(capfd, 'convert_checkpoint', *options)
    assert found.code == 0, found.err
    assert 'omitted, a second name of the same: temporal.network.* (32)' in found.out
    assert 'omitted, never used by the reference: mamba.adaptor.* (2)' in found.out
    with (
        np.load(golden_mamba_va / 'model_small.npz') as golden,
        TrialWriter(tmp_path / 'store', {'mae': (16,)}) as writer,
    ):
        expected = {target: golden[target] for target in ('valence', 'arousal')}
        for name, x in zip(('first', 'second'), golden['x'], strict=True):
            writer.add(name, 'val', {'mae': x}, np.linspace(-1, 1, 120).reshape(60, 2), fps=30.0)
        writer.add('other', 'train', {'mae': golden['x'][0]}, np.zeros((60, 2)), fps=30.0)
    options = ['val_dataloader.num_workers=0', f'data_root={tmp_path / "store"}']
    found = call(capfd, 'test', out.with_suffix('.py'), out, '--partition', 'val', '--cfg-options', *options)
    assert found.code == 0, found.err
    for target, values in expected.items():
        file = out.parent / f'predictions/val_pred_{target}_nosmooth_ori.json'
        predictions = json.loads(file.read_text())
        for name, curve in zip(('first', 'second'), values, strict=True):
            np.testing.assert_allclose(predictions[name]['pred'], curve, rtol=0, atol=1e-5)


def test_what_does_not_fit(
    config: Path, stored: dict[str, Tensor], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / 'state_dict.pth', tmp_path / 'out.pth'

    def refused(change: dict[str, Tensor | None], *more: str, config: Path = config) -> str:
        torch.save({k: v for k, v in (stored | change).items() if v is not None}, source)
        found = call(
            capfd, 'convert_checkpoint', '--system', 'mamba_va', source, out, '--config', config, *more
        )
        assert found.code == 2, found.out
        assert not out.exists()
        return found.err

    assert 'missing: context.0.layers.1.mixer.D' in refused({'mamba.mamba.layers.1.0.D': None})
    assert 'not of this system: other.weight' in refused({'other.weight': torch.zeros(2)})
    assert 'head.out.bias is NaN or infinite' in refused({'dual_reg.2.bias': torch.full((2,), torch.nan)})
    message = refused({}, '--cfg-options', 'layers=1')
    assert 'not of this system: context.0.layers.1.' in message
    assert 'encoders.mae.norm.weight' in refused({}, '--cfg-options', 'encoder.norm=True')
    assert 'estimates valence and arousal' in refused({}, '--cfg-options', 'targets=[valence]')
    tagf = ROOT / 'configs/tagf/tagf_embeddings_affwild2.py'
    assert 'take a config of configs/mamba_va' in refused({}, config=tagf)
    torch.save(torch.nn.Linear(2, 2), source)
    found = call(capfd, 'convert_checkpoint', '--system', 'mamba_va', source, out, '--config', config)
    assert (found.code, 'refused' in found.err) == (2, True)
