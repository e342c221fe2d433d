"""What a run changes of its bases, and the config that it wrote, read without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from abawfw.config.diff import config_changes, read_written
from abawfw.config.loading import load_config
from abawfw.errors import ConfigError

pytestmark = pytest.mark.usefixtures('shipped_configs_are_read_once')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# those of a model for other data name the same kinds of bases
EXPERIMENTS = sorted([*CONFIGS.glob('*/*_demo.py'), *CONFIGS.glob('own/*.py')])


def test_file_and_command_line_are_told_apart() -> None:
    run = load_config(CONFIGS / 'rucaim3/transformer_demo.py', {'lr': 0.5, 'model.head.dropout': 0.25})
    assert config_changes(run) == {
        'file': ['ffn: 1024 -> 128', 'hidden: 256 -> 64', 'layers: 4 -> 2', 'regressor: [256, 256] -> [64]'],
        'command': ['lr: 0.0005 -> 0.5', 'model.head.dropout: 0.3 -> 0.25'],
    }


@pytest.mark.parametrize('config', EXPERIMENTS, ids=lambda path: path.stem)
def test_bases_are_whole_configs_by_themselves(config: Path) -> None:
    changes = config_changes(load_config(config))
    assert changes is not None
    assert changes['command'] == []
    assert changes['file'] is not None


def test_bases_that_need_the_file(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text("lr = '${rate}'\n")
    config = tmp_path / 'experiment.py'
    config.write_text("_base_ = 'base.py'\nrate = 2\n")
    assert config_changes(load_config(config, {'rate': 3})) == {'file': None, 'command': ['rate: 2 -> 3']}


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    config = tmp_path / 'whole.py'
    config.write_text('lr = 1\n')
    run = load_config(config)
    assert config_changes(run) is None
    config.unlink()
    assert config_changes(run) is None


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / 'ran'
    for number, text in enumerate(
        [
            f'import pathlib\npathlib.Path({str(mark)!r}).touch()',
            f"a = open({str(mark)!r}, 'w')",
            f"a = dict(b=[__import__('pathlib').Path({str(mark)!r}).touch()])",
            'a = {**globals()}',
            'a = [x for x in (1,)]',
            'a = ' + '[' * 10_000,
        ]
    ):
        path = tmp_path / f'config_{number}.py'
        path.write_text(text)
        with pytest.raises(ConfigError, match=rf'config_{number}\.py cannot be read as the config of a run'):
            read_written(path)
    with pytest.raises(ConfigError, match=r'gone\.py cannot be read'):
        read_written(tmp_path / 'gone.py')
    assert not mark.exists()
