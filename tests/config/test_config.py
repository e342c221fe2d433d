"""Loading a config: references, inheritance, overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abawfw.config import VAConfig, load_config, referenced_names, resolve
from abawfw.config_diff import config_diff
from abawfw.errors import ConfigError

BASE = """
hidden = 8
features = ['a', 'b']
name = 'run_${hidden}'
layers = ['${hidden}', 2]
model = dict(head=dict(layers='${layers}'), parts=[dict(size='${hidden}'), dict(names='${features}')])
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / 'base.py'
    path.write_text(BASE)
    return path


def resolved(path: Path, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    return resolve(load_config(path, overrides)).to_dict()


def test_references_keep_their_type_and_nest(base: Path) -> None:
    cfg = resolved(base)
    assert cfg['model'] == {'head': {'layers': [8, 2]}, 'parts': [{'size': 8}, {'names': ['a', 'b']}]}
    assert cfg['name'] == 'run_8'


def test_each_reference_is_a_copy(base: Path) -> None:
    cfg = resolve(load_config(base))
    cfg.model.parts[1].names.append('c')
    assert cfg.features == ['a', 'b']


def test_loading_keeps_references(base: Path) -> None:
    cfg = load_config(base)
    assert cfg.model.head.layers == '${layers}'
    assert referenced_names(cfg) == {'hidden', 'features', 'layers'}


def test_an_override_reaches_every_place_that_refers_to_it(base: Path) -> None:
    cfg = resolved(base, {'hidden': 16, 'features': ['c']})
    assert cfg['name'] == 'run_16'
    assert cfg['model'] == {'head': {'layers': [16, 2]}, 'parts': [{'size': 16}, {'names': ['c']}]}


def test_a_child_config_reaches_every_place_too(base: Path) -> None:
    child = base.with_name('child.py')
    child.write_text("_base_ = './base.py'\nhidden = 4\n")
    assert resolved(child)['model']['head'] == {'layers': [4, 2]}


def test_overrides_reach_into_lists(base: Path) -> None:
    cfg = resolved(base, {'model.parts.0.size': 5, 'layers.1': 3})
    assert cfg['model']['parts'][0] == {'size': 5}
    assert cfg['layers'] == [8, 3]


def test_an_override_below_a_reference_says_where_the_value_stands(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.head.layers is '\$\{layers\}'; set layers.1 instead"):
        load_config(base, {'model.head.layers.1': 3})


def test_an_override_beyond_a_list_is_an_error(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"parts.7.size: '7' is no index into a list of 2"):
        load_config(base, {'model.parts.7.size': 5})


def test_an_override_within_a_plain_value_is_an_error(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"hidden.size.x: there is no 'size' within 8"):
        load_config(base, {'hidden.size.x': 5})


def test_an_override_may_add_a_key_for_the_check_to_judge(base: Path) -> None:
    assert resolved(base, {'model.new.x': 5})['model']['new'] == {'x': 5}


def test_an_inherited_value_that_nothing_needs_any_more_is_forgotten(base: Path) -> None:
    child = base.with_name('child.py')
    child.write_text("_base_ = './base.py'\nmodel = dict(head=dict(layers=[1]))\nunused = 3\n")
    cfg = load_config(child).to_dict()
    assert 'layers' not in cfg
    assert cfg['hidden'] == 8, 'still referred to'
    assert cfg['unused'] == 3, "the child's own: for the check to judge"


def test_all_wrong_references_are_reported_with_the_nearest_name(base: Path) -> None:
    base.write_text("hidden = 8\nfirst = dict(x='${hiden}')\nsecond = ['a ${nothing_like_it}']\n")
    with pytest.raises(ConfigError) as error:
        resolve(load_config(base))
    text = str(error.value)
    assert 'base.py: 2 problem(s)' in text
    assert "first.x: refers to 'hiden', which is no top-level value: did you mean 'hidden'?" in text
    assert "second[0]: refers to 'nothing_like_it'" in text
    assert 'there are: first, hidden, second' in text


@pytest.mark.parametrize(
    'text', ["a = '${a}'", "a = ['${b}']\nb = dict(x='${a}')", "a = 'x${b}'\nb = 'y${a}'"]
)
def test_a_value_that_refers_to_itself(base: Path, text: str) -> None:
    base.write_text(text)
    with pytest.raises(ConfigError, match=r'a -> .*refers to itself'):
        resolve(load_config(base))


@pytest.mark.parametrize('text', ['a = (', 'raise ValueError("no")', "_base_ = './missing.py'"])
def test_a_file_that_is_no_config(base: Path, text: str) -> None:
    base.write_text(text)
    with pytest.raises(ConfigError, match=r'base.py: \w+Error: '):
        load_config(base)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'none\.py: no such config file'):
        load_config(tmp_path / 'none.py')


def test_the_text_of_a_config_is_that_config(base: Path) -> None:
    cfg = load_config(base)
    again = base.with_name('again.py')
    again.write_text(cfg.pretty_text)
    assert load_config(again).to_dict() == cfg.to_dict()


def test_diff_lists_a_value_where_it_stands_and_not_where_it_is_used() -> None:
    ours = VAConfig({'lr': 1, 'gone': 0, 'opt': {'lr': '${lr}'}, 'parts': [{'x': 1}, {'x': 2}]})
    theirs = VAConfig({'lr': 2, 'opt': {'lr': '${lr}'}, 'parts': [{'x': 1}, {'x': 3}]})
    assert config_diff(ours, theirs) == ['gone: 0 -> (absent)', 'lr: 1 -> 2', 'parts.1.x: 2 -> 3']


def test_diff_compares_what_takes_effect() -> None:
    written_out = VAConfig({'lr': 1, 'opt': {'lr': 1}, 'flag': True})
    referring = VAConfig({'lr': 1, 'opt': {'lr': '${lr}'}, 'flag': 1})
    assert config_diff(written_out, referring) == ['flag: True -> 1']
