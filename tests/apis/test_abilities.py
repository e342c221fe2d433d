"""The table of what can be done with the shipped models."""

from __future__ import annotations

import pytest
from command_line import ROOT

from abawfw.apis.abilities import Abilities, abilities_table, shipped_abilities


@pytest.fixture(scope='module')
def rows() -> list[Abilities]:
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
    assert abilities_table(rows).strip() in (ROOT / 'README.md').read_text()
