"""Dumped configs are read, never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from abawfw.config import load_config
from abawfw.config_dump import read_dump
from abawfw.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    'name', ['rucaim3/transformer_demo.py', 'tagf/tagf_affwild2.py', 'own/pixels_own.py']
)
def test_a_dump_is_read_as_it_was_loaded(tmp_path: Path, name: str) -> None:
    config = load_config(CONFIGS / name)
    path = tmp_path / 'config.py'
    path.write_text(config.pretty_text)
    assert read_dump(path).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("import os\nos.mkdir('made')\n", 'line 1: a dumped config only assigns values'),
        ("x = __import__('os').mkdir('made')\n", 'cannot be read as a dumped config'),
        ('x = [\n', 'cannot be read as a dumped config'),
        ('a.b = 1\n', 'line 1'),
        ('x = ' + '[' * 10_000 + '\n', 'cannot be read as a dumped config'),
    ],
)
def test_anything_else_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_dump(path)
    assert not (tmp_path / 'made').exists()


def test_a_missing_dump_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'config\.py'):
        read_dump(tmp_path / 'config.py')
