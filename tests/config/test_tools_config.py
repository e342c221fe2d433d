"""The command lines about configs: print_config, list, and train --check-only."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tool_here import tool_here

from abawfw.config.loading import load_config, resolve
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'rucaim3' / 'transformer_demo.py'


def tool(name: str) -> ModuleType:
    """The module of a command line; its name may be one of Python's own, so it is not imported by name."""
    spec = importlib.util.spec_from_file_location(f'abawfw_tool_{name}', ROOT / 'tools' / f'{name}.py')
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_print_config_prints_the_resolved_config_as_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool('print_config').main([str(CONFIG), '--cfg-options', 'hidden=64', 'features=[a]'])
    text = capsys.readouterr().out
    assert '${' not in text
    printed = tmp_path / 'printed.py'
    printed.write_text(text)
    cfg = load_config(printed)
    assert cfg.to_dict() == resolve(load_config(CONFIG, {'hidden': 64, 'features': ['a']})).to_dict()
    assert cfg.model.context[0].hidden == 64
    assert cfg.val_dataloader.dataset.features == ['a']


def test_print_config_diff(capsys: pytest.CaptureFixture[str]) -> None:
    other = CONFIG.with_name('transformer_affwild2.py')
    tool('print_config').main([str(CONFIG), '--diff', str(other), '--cfg-options', 'lr=1.0'])
    lines = capsys.readouterr().out.splitlines()
    assert "data_root: 'data/demo' -> 'data/affwild2'" in lines
    assert "features.2: 'egemaps' -> 'wav2vec'" in lines
    assert 'lr: 1.0 -> 2e-05' in lines
    assert not [line for line in lines if line.startswith(('optim_wrapper', 'train_dataloader'))]


def test_print_config_diff_of_equal_configs(capsys: pytest.CaptureFixture[str]) -> None:
    tool('print_config').main([str(CONFIG), '--diff', str(CONFIG)])
    assert capsys.readouterr().out == 'no difference\n'


def test_print_config_of_a_missing_file_is_one_message() -> None:
    result = tool_here('print_config', 'nowhere.py')
    assert result.returncode == 2
    assert result.stderr == 'error: nowhere.py: no such config file\n'


def test_list_of_one_group(capsys: pytest.CaptureFixture[str]) -> None:
    tool('list').main(['losses'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'losses'
    assert any(line.split()[:2] == ['CCCLoss', '1'] for line in lines)
    assert not any('VAEstimator' in line for line in lines)


def test_list_of_all_groups_names_own_components_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    tool('list').main([])
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if line and not line.startswith(' ')]
    assert {'stores', 'models', 'contexts', 'losses', 'hooks', 'metrics'} <= set(groups)
    components = [line.split(maxsplit=1) for line in lines if line.startswith('  ')]
    assert all(len(words) == 2 for words in components), 'a component without a docstring'
    names = [words[0] for words in components]
    assert {'PackedStore', 'VAEstimator', 'TransformerContext', 'VAMetric', 'VACheckpointHook'} <= set(names)
    assert not {'SGD', 'CheckpointHook'} & set(names)


def test_list_of_a_group_without_own_components(capsys: pytest.CaptureFixture[str]) -> None:
    tool('list').main(['visualizers'])
    assert capsys.readouterr().out.split() == ['visualizers', '(none)']


def test_list_of_an_unknown_group() -> None:
    with pytest.raises(ConfigError, match="there is no group 'losess': did you mean 'losses'"):
        tool('list').main(['losess'])


def test_check_only_of_a_good_config(tmp_path: Path) -> None:
    make_demo_data(tmp_path / 'demo', videos=(2, 2, 1), scale=0.02)
    result = tool_here('train', CONFIG, '--data-root', tmp_path / 'demo', '--check-only')
    assert (result.returncode, result.stdout) == (0, f'{CONFIG}: no problem found\n')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['demo']


def test_check_only_tells_all_problems_and_leaves_with_2(tmp_path: Path) -> None:
    make_demo_data(tmp_path / 'demo', videos=(2, 2, 1), scale=0.02)
    options = ('--features', 'afectnet', '--cfg-options', 'model.typ=1', 'epocs=3')
    result = tool_here('train', CONFIG, '--data-root', tmp_path / 'demo', '--check-only', *options)
    assert result.returncode == 2
    assert result.stdout == ''
    lines = result.stderr.splitlines()
    assert lines[0] == f'error: {CONFIG}: 3 problems'
    assert lines[1].startswith('  model.typ: VAEstimator has no such argument')
    assert lines[2].startswith("  unknown top-level key 'epocs'")
    assert lines[2].endswith("did you mean 'epochs'?")
    assert lines[3] == f"  features: {tmp_path / 'demo'} has no feature 'afectnet': did you mean 'affectnet'?"
