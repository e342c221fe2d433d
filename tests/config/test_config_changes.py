"""What a run changes of its bases, read without running a config."""

from __future__ import annotations

from pathlib import Path

import pytest

from abawfw.config import load_config
from abawfw.config_changes import config_changes
from abawfw.config_values import read_values
from abawfw.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
EXPERIMENTS = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)


def dumped(config: Path, folder: Path, **overrides: object) -> Path:
    path = folder / 'config.py'
    path.write_text(load_config(config, overrides).pretty_text)
    return path


def test_file_and_command_line_are_told_apart(tmp_path: Path) -> None:
    config = CONFIGS / 'rucaim3/transformer_demo.py'
    found = config_changes(config, dumped(config, tmp_path, lr=0.5, **{'model.head.dropout': 0.25}))
    assert found.by_file == [
        'ffn: 1024 -> 128',
        'hidden: 256 -> 64',
        'layers: 4 -> 2',
        'regressor: [256, 256] -> [64]',
    ]
    assert found.by_command == ['lr: 0.0005 -> 0.5', 'model.head.dropout: 0.3 -> 0.25']


@pytest.mark.parametrize('config', EXPERIMENTS, ids=lambda path: path.stem)
def test_reading_gives_what_running_gives(config: Path, tmp_path: Path) -> None:
    """A config without overrides has no change of the command line; or it is said where it cannot be read."""
    run = dumped(config, tmp_path)
    try:
        changes = config_changes(config, run)
    except ConfigError as error:
        said = str(error)
    else:
        assert changes.by_command == []
        return
    assert 'what it holds is known only when it is run' in said


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / 'ran'
    for number, text in enumerate(
        [
            f'import pathlib\npathlib.Path({str(mark)!r}).touch()',
            f"a = open({str(mark)!r}, 'w')",
            f"a = dict(b=[__import__('pathlib').Path({str(mark)!r}).touch()])",
            'a = dict(**globals())',
            'a = [x for x in (1,)]',
        ]
    ):
        path = tmp_path / f'config_{number}.py'
        path.write_text(text)
        with pytest.raises(ConfigError, match=rf'config_{number}\.py, line 1: what it holds'):
            read_values(path)
    assert not mark.exists()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    circle, text, lost = (tmp_path / f'{name}.py' for name in ('circle', 'text', 'lost'))
    circle.write_text("_base_ = './circle.py'\n")
    text.write_text('a = ' + '[' * 10_000)
    lost.write_text("_base_ = ['nowhere.py']\na = 1\n")
    run = tmp_path / 'config.py'
    run.write_text('a = 1\n')
    for path, message in (
        (circle, 'inherits from itself'),
        (text, 'text.py cannot be read'),
        (lost, 'nowhere.py cannot be read'),
        (tmp_path / 'gone.py', 'gone.py cannot be read'),
    ):
        with pytest.raises(ConfigError, match=message):
            config_changes(path, run)
