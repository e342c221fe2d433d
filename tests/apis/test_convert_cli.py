"""From the reference's files to its predictions, by command lines alone."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from forked_python import python

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
CASES = [
    'transformer',
    'transformer_nope',
    'transformer_valence',
    'transformer_lstm_res_y',
    'transformer_lstm_res_n',
    'transformer_attention_multihead',
    'transformer_attention_single',
    'transformer_attention_none',
    'transformer_attention_multihead_unlimited',
    'transformer_attention_multihead_cap',
    'fclstm_xl',
    'fclstm_xl_cls20',
]


def load_tool(name: str):
    spec = importlib.util.spec_from_file_location(f'tool_{name}', TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sub_networks(golden: Path, case: str, folder: Path) -> Path:
    """The case's own options beside the weights it uses, as a run's folder would hold them."""
    weights = json.loads((golden / 'cases.json').read_text())['mini'][case]['weights']
    shutil.copytree(golden / 'weights_mini' / weights, folder)
    shutil.copy(golden / 'weights_mini' / case / 'train_opt.conf', folder / 'train_opt.conf')
    return folder


def compare_with_solo(golden: Path, case: str, predictions: Path) -> None:
    outputs = np.load(golden / 'outputs_mini.npz')
    expected = [outputs[f'{case}/solo{i}'][0] for i in range(3)]
    targets = ['valence', 'arousal'] if expected[0].ndim == 2 else ['valence']
    for column, target in enumerate(targets):
        stored = json.loads((predictions / f'val_pred_{target}_nosmooth_ori.json').read_text())
        assert list(stored) == ['val_0', 'val_1', 'val_2']
        for values, entry in zip(expected, stored.values(), strict=True):
            values = values[:, column] if values.ndim == 2 else values
            np.testing.assert_allclose(entry['pred'], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize('case', CASES)
def test_converted_checkpoint_gives_the_golden_predictions(golden, case, tmp_path):
    source = sub_networks(golden, case, tmp_path / 'source')
    out = tmp_path / 'converted' / 'model.pth'
    load_tool('convert_checkpoint').main(['--system', 'rucaim3', str(source), 'golden', str(out)])
    arguments = [str(out.with_suffix('.py')), str(out), '--data-root', str(golden / 'h5_mini')]
    load_tool('test').main([*arguments, '--out', str(tmp_path / 'predictions'), '--partition', 'val'])
    compare_with_solo(golden, case, tmp_path / 'predictions')


@pytest.mark.slow
def test_the_same_through_processes(golden, tmp_path):
    source = sub_networks(golden, 'transformer', tmp_path / 'source')
    out = tmp_path / 'model.pth'
    convert = [python(), TOOLS / 'convert_checkpoint.py', '--system', 'rucaim3', source, 'golden', out]
    subprocess.run(convert, check=True, capture_output=True)
    test = [python(), TOOLS / 'test.py', out.with_suffix('.py'), out, '--data-root', golden / 'h5_mini']
    printed = subprocess.run(test, check=True, capture_output=True, text=True).stdout
    compare_with_solo(golden, 'transformer', tmp_path / 'predictions')
    assert '81' in printed  # 50 + 27 + 4 frames counted


def test_existing_output_is_not_overwritten(golden, tmp_path):
    from abawfw.errors import CheckpointError

    out = tmp_path / 'model.pth'
    out.write_bytes(b'mine')
    with pytest.raises(CheckpointError, match=r'model\.pth'):
        load_tool('convert_checkpoint').main(
            ['--system', 'rucaim3', str(golden / 'weights_mini' / 'transformer'), 'golden', str(out)]
        )
    assert out.read_bytes() == b'mine'
