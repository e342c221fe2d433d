"""Loading a config: references, inheritance, overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abawfw.apis.build import recorder
from abawfw.config.check import written_problems
from abawfw.config.diff import config_diff
from abawfw.config.loading import (
    VAConfig,
    load_config,
    not_plain,
    referenced_names,
    resolve,
    stands_at,
)
from abawfw.errors import ConfigError

ROOT = Path(__file__).parents[2]

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
    assert 'base.py: 2 problems' in text
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


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('_base_ = None', r'mine\.py: _base_ must be a path or a list of paths, not None'),
        ("_base_ = ['./base.py', None, 3]", r'_base_ must be a path or a list of paths, not None'),
        ('_base_ = {}', r'_base_ must be a path or a list of paths, not \{\}'),
        ('_base_ = [None][0]', r'_base_ must be a path or a list of paths, not None'),
        ('import sys\nsys.exit(3)', r'mine\.py: ends the program while it is loaded \(sys\.exit\(3\)\)'),
        ('a = []\na.append(a)', r"mine\.py: 'a' nests too deeply, or holds itself"),
        ('a = 1\nfor _ in range(3000):\n    a = [a]', r"mine\.py: 'a' nests too deeply"),
        ('a = 1\nb = list(range(10**5))', r'mine\.py: b: holds more than 20,000 values'),
        ('a = 1\nb = "\0"', r'mine\.py: a NUL in line 2'),
        ('\ufeffa = 1', r'mine\.py: a byte order mark \(BOM\) in line 1: save it as plain UTF-8'),
    ],
)
@pytest.mark.parametrize('inherited', [False, True])
def test_what_no_config_can_be_is_named(base: Path, text: str, message: str, inherited: bool) -> None:
    path = base.with_name('mine.py')
    path.write_text(text, encoding='utf-8')
    if inherited:
        path = base.with_name('child.py')
        path.write_text("_base_ = './mine.py'\n")
        message = message.removeprefix(r'mine\.py: ')
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_module_of_custom_imports_that_ends_the_program(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.with_name('ends_it.py').write_text('import sys\nsys.exit(3)\n')
    monkeypatch.syspath_prepend(base.parent)
    base.write_text("custom_imports = dict(imports=['ends_it'])\n")
    with pytest.raises(ConfigError, match=r'custom_imports: ends_it cannot be imported \(SystemExit: 3'):
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


@pytest.fixture
def text_of(tmp_path: Path) -> Callable[[str], Path]:
    """A config of this text beside base.py."""

    def write(text: str, name: str = 'mine.py') -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_an_environment_variable_may_stand_without_quotes(
    text_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text_of("hidden = {{$ABAWFW_HIDDEN:16}}\nroot = '{{$ABAWFW_ROOT:/x}}/y'\n")
    assert load_config(path).to_dict() == {'hidden': 16, 'root': '/x/y'}
    monkeypatch.setenv('ABAWFW_HIDDEN', '32')
    assert load_config(path).hidden == 32


@pytest.mark.parametrize('suffix', ['yaml', 'json', 'txt'])
def test_a_file_that_is_no_python(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f'mine.{suffix}'
    path.write_text('{}')
    with pytest.raises(ConfigError, match=f'mine.{suffix}: a config is a Python file, NAME.py'):
        load_config(path)


LAZY = 'from mmengine.config import read_base\n\nwith read_base():\n    from .base import *\n'


@pytest.mark.parametrize('text', [LAZY, "_base_ = './lazy.py'\n", "_base_ = ['./base.py', './lazy.py']\n"])
def test_a_config_of_mmengines_other_style(base: Path, text_of: Callable[..., Path], text: str) -> None:
    text_of(LAZY, 'lazy.py')
    with pytest.raises(
        ConfigError, match=r'(lazy|mine)\.py, line 3: `with read_base\(\)` is the other style'
    ):
        load_config(text_of(text))


def test_a_mistake_in_a_base_is_named_there(text_of: Callable[..., Path]) -> None:
    text_of('hidden = (\n', 'broken.py')
    with pytest.raises(ConfigError, match=r"broken\.py: SyntaxError: '\(' was never closed, line 1"):
        load_config(text_of("_base_ = './broken.py'\n"))


def test_a_config_that_inherits_from_itself(text_of: Callable[..., Path]) -> None:
    text_of("_base_ = './mine.py'\n", 'other.py')
    with pytest.raises(ConfigError, match=r'mine\.py inherits from itself'):
        load_config(text_of("_base_ = './other.py'\n"))


def test_two_bases_that_set_the_same(text_of: Callable[..., Path]) -> None:
    text_of('lr = 1\n', 'a.py')
    text_of('lr = 2\n', 'b.py')
    with pytest.raises(ConfigError, match=r"two of its bases set the same: \{'lr'\}; keep one of them"):
        load_config(text_of("_base_ = ['./a.py', './b.py']\n"))


def test_numbers_of_numpy_and_paths_become_plain(text_of: Callable[..., Path]) -> None:
    path = text_of(
        'import numpy as np\nfrom math import sqrt\nfrom pathlib import Path\n\n'
        'lr = np.logspace(-4, -2, 3)[1]\n'
        "layers = [np.int64(3), np.float32(0.5), np.bool_(True), np.str_('x')]\n"
        "data_root = Path('data') / 'demo'\nkeys = {np.int64(1): sqrt(4)}\n\n\ndef helper():\n    return 1\n"
    )
    cfg = load_config(path, {'path': Path('x'), 'n': np.int32(7)})
    assert cfg.to_dict() == {
        'lr': pytest.approx(1e-3),
        'layers': [3, 0.5, True, 'x'],
        'data_root': 'data/demo',
        'keys': {1: 2.0},
        'path': 'x',
        'n': 7,
    }
    assert [type(value) for value in cfg.layers] == [int, float, bool, str]
    again = text_of(cfg.pretty_text, 'again.py')
    assert load_config(again).pretty_text == cfg.pretty_text
    assert not_plain(cfg) == written_problems(cfg) == []


@pytest.mark.parametrize(
    ('value', 'line'),
    [
        ("float('inf')", 'model.parts[0].x: inf is no number that a config can hold'),
        ("float('nan')", 'model.parts[0].x: nan is no number that a config can hold'),
        ('np.zeros(3)', 'model.parts[0].x: array([0., 0., 0.]) is of type ndarray, which cannot be written'),
        ('dict', "model.parts[0].x: <class 'dict'> is a class or function, which cannot be written"),
        ('len', 'model.parts[0].x: <built-in function len> is a class or function'),
        ('{1, 2}', 'model.parts[0].x: {1, 2} is of type set'),
        ("b'x'", "model.parts[0].x: b'x' is of type bytes"),
        ('1 + 2j', 'model.parts[0].x: (1+2j) is of type complex'),
    ],
)
def test_what_cannot_be_written_down_is_named(text_of: Callable[..., Path], value: str, line: str) -> None:
    cfg = load_config(text_of(f'import numpy as np\nmodel = dict(parts=[dict(x={value})])\n'))
    (found,) = not_plain(cfg)
    assert found.startswith(line)
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize('value', ['a {{$HOME:x}} b', '{{fileBasename}}'])
def test_a_text_that_would_be_another_one_when_it_is_read_again(value: str) -> None:
    (found,) = written_problems(VAConfig({'data_root': value}))
    assert found.startswith(f'data_root: {value!r} is another value when a run reads its config again')


def test_a_module_of_custom_imports_that_is_not_there(base: Path) -> None:
    overrides = {'custom_imports': {'imports': ['no_such_package']}}
    with pytest.raises(ConfigError, match=r'custom_imports: no_such_package cannot be imported \(ModuleNot'):
        load_config(base, overrides)
    with pytest.raises(ConfigError, match=r"custom_imports must be dict\(imports=\['my_package'\]\), not 3"):
        load_config(base, {'custom_imports': 3})
    overrides['custom_imports']['allow_failed_imports'] = True  # type: ignore[assignment]
    assert load_config(base, overrides).hidden == 8


@pytest.mark.parametrize('key', ['', 'a..b', 'filename', 'text.x'])
def test_a_key_that_no_value_can_have(base: Path, key: str) -> None:
    with pytest.raises(ConfigError, match='no value of a config can have this name'):
        load_config(base, {key: 1})


@pytest.mark.parametrize(
    ('place', 'found'),
    [
        ('model.head.layers[0]', 'hidden'),
        ('model.parts[0].size', 'hidden'),
        ('model.parts[1].names[1]', 'features[1]'),
        ('layers[1]', 'layers[1]'),
        ('nowhere.x', 'nowhere.x'),
    ],
)
def test_where_a_value_stands(base: Path, place: str, found: str) -> None:
    assert stands_at(load_config(base), place) == found


def test_trackers_add_up(text_of: Callable[..., Path]) -> None:
    names = ('tensorboard', 'wandb', 'mlflow')
    bases = [str(ROOT / f'configs/_base_/{name}.py') for name in names]
    cfg = resolve(load_config(text_of(f'_base_ = {bases!r}\n'))).to_dict()
    kinds = ['TensorboardVisBackend', 'WandbVisBackend', 'MLflowVisBackend']
    found = recorder(cfg)
    assert found is not None
    assert [backend['type'] for backend in found['vis_backends']] == kinds
    own = {'type': 'Visualizer', 'vis_backends': [{'type': 'Own'}]}
    found = recorder({**cfg, 'visualizer': own})
    assert found is not None
    assert [backend['type'] for backend in found['vis_backends']] == ['Own', *kinds]
    assert recorder({'visualizer': own}) == own
    assert recorder({}) is None
