"""The table of what can be done with the shipped models."""

from __future__ import annotations

from pathlib import Path

import pytest
from abilities import Abilities, abilities_table, shipped_abilities
from apis.command_line import ROOT


@pytest.fixture(scope='module')
def rows(shipped_configs_are_read_once: None) -> list[Abilities]:
    return shipped_abilities(ROOT / 'configs')


def test_every_experiment_is_in_one_row_with_its_like(rows: list[Abilities]) -> None:
    of = {name: row for row in rows for name in row.models}
    assert len(of) == sum(len(row.models) for row in rows)
    for name in ('fclstm_xl', 'can', 'can_embeddings', 'lfan', 'lfan_embeddings'):
        assert (of[name].obstacles, of[name].frames) == ((), 'any number'), name
    for name in ('tagf', 'tagf_mlp_gate_embeddings', 'rjcma', 'can_coattn'):
        (why,) = of[name].obstacles
        assert why.startswith('CoAttentionFusion: co-attention compares'), name
        assert of[name].frames == '300'
    assert of['tagf_free_length'].obstacles == of['tagf'].obstacles
    assert of['tagf_free_length'].frames == 'any number'
    assert [x.split(':')[0] for x in of['transformer_attention'].obstacles] == [
        'TransformerContext',
        'MemoryAttention',
    ]
    assert of['transformer_lstm'].frames == 'up to 512'


def test_the_table(rows: list[Abilities]) -> None:
    lines = abilities_table(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert {line.count('|') for line in lines} == {4}
    assert all('| yes |' in line or '| no. ' in line for line in lines[2:])
    assert '| yes |' in lines[2]


def test_the_readme_has_the_table(rows: list[Abilities]) -> None:
    readme = (ROOT / 'README.md').read_text()
    assert f'<!-- abilities -->\n\n{abilities_table(rows)}\n\n<!-- end -->' in readme, 'make docs writes it'


def test_configs_of_a_user_are_not_in_it(tmp_path: Path) -> None:
    (tmp_path / '_base_').symlink_to(ROOT / 'configs/_base_')
    (tmp_path / 'rucaim3').mkdir()
    (tmp_path / 'mine').mkdir()
    for folder in ('rucaim3', 'mine'):
        text = (ROOT / 'configs/rucaim3/fclstm_xl_demo.py').read_text()
        (tmp_path / folder / f'model_of_{folder}.py').write_text(text)
    (tmp_path / 'rucaim3/README.md').touch()
    assert [row.models for row in shipped_abilities(tmp_path)] == [('model_of_rucaim3',)]
