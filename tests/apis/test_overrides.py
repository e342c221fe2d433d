"""What stands behind --cfg-options is read as Python literals and dict(...) of them, and nothing else."""

from __future__ import annotations

import argparse
import ast
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.config.overrides import Overrides, parse_options, parse_value, parse_words
from abawfw.errors import ConfigError


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('1', 1),
        ('-3', -3),
        ('1e-4', 1e-4),
        ('+.5', 0.5),
        ('0', 0),
        ('1.', 1.0),
        ('007', '007'),  # a name: no number of Python begins so
        ('2023_01', '2023_01'),
        ('12e3456', '12e3456'),
        ('inf', 'inf'),
        ('\uff11\uff12', '\uff11\uff12'),
        ('[007,1_0,7]', ['007', '1_0', 7]),
        ('true', True),
        ('False', False),
        ('None', None),
        ('none', 'none'),
        ('train', 'train'),
        ('', ''),
        ('/x/de mo', '/x/de mo'),  # blanks belong to the text
        ('/x/run (copy)/y', '/x/run (copy)/y'),
        ('sqlite:///work_dirs/mlflow.db', 'sqlite:///work_dirs/mlflow.db'),
        ('http://host:5000?a=b', 'http://host:5000?a=b'),
        ('timm:resnet18', 'timm:resnet18'),
        ('${hidden}', '${hidden}'),
        ('affectnet,vggish', ['affectnet', 'vggish']),  # commas make a list
        ('1,2.5', [1, 2.5]),
        ('affectnet,', ['affectnet']),
        ('[affectnet, vggish]', ['affectnet', 'vggish']),
        ('[${hidden},64]', ['${hidden}', 64]),
        ('(0.5,0.999)', (0.5, 0.999)),
        ('[(1,2),[3]]', [(1, 2), [3]]),
        ("'1'", '1'),
        ("'/x/a, b'", '/x/a, b'),
        ('"it\'s"', "it's"),
        ('[]', []),
        ('dict()', {}),
        ("[dict(type='MSELoss',weight=2)]", [{'type': 'MSELoss', 'weight': 2}]),
        ("dict(a=dict(b=[1, 'x y']), c=None)", {'a': {'b': [1, 'x y']}, 'c': None}),
        ("{'a.b': 1, 2: {}}", {'a.b': 1, 2: {}}),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = parse_value(text)
    assert repr(found) == repr(value)


words = st.text(max_size=8)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
literals = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(words | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(literals)
def test_whatever_python_writes_down_is_read_again(value: Any) -> None:
    assert ast.literal_eval(repr(value)) == value
    assert repr(parse_value(repr(value))) == repr(value)


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('[1,2)', "at character 5: ',' or ']' is expected here, not ')'"),
        ('[1', "at character 3: ',' or ']' is expected here"),
        ('[', 'at character 2: the value ends here'),
        ('[1,,2]', "at character 4: ',' does not begin a value"),
        ('[1,2]3', "at character 6: ',' is expected here, not '3'"),
        ("float('inf')", 'at character 1: float(... is no value; give numbers, texts'),
        ('np.logspace(-4,-2,3)', 'at character 1: np.logspace(... is no value'),
        ("[1, float('inf')]", 'at character 5: float(... is no value'),
        ('dict(1)', 'at character 6: dict(...) takes NAME=VALUE'),
        ('dict(a=1,a=2)', "at character 10: the key 'a' stands there twice"),
        ("dict(a=f('x'))", 'at character 8: f(... is no value'),
        ('{1,2}', "at character 3: ':' is expected here, not ','"),
        ("'abc", 'at character 1: "\'" does not begin a value'),
        ("['\\x0']", 'is no text of Python'),
        ('[' * 100, 'more than 50 brackets within one another'),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_words([f'losses={text}'])
    assert str(error.value).startswith(f'--cfg-options losses={text[:40]}')
    assert why in str(error.value)


@given(st.text(alphabet='[](){}\'",=: a1$\\d', max_size=30))
def test_no_text_ends_in_another_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_value(text)


@pytest.mark.parametrize('word', ['lr', '=3'])
def test_a_word_without_key_or_value(word: str) -> None:
    with pytest.raises(ConfigError, match=f'--cfg-options {word}: give KEY=VALUE'):
        parse_words([word])


def test_the_action_of_command_lines() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={})
    given = ['--cfg-options', 'a=1', 'b=x=y', '--cfg-options', 'a=2', 'c.0=[1]']
    assert parser.parse_args(given).cfg_options == {'a': 2, 'b': 'x=y', 'c.0': [1]}
    assert parser.parse_args([]).cfg_options == {}


def test_options_of_extractors() -> None:
    words = ['face.weights=/my weights/a.pth', 'face.backbone.units=[1, 2]', 'bert.name=x']
    assert parse_options(words) == {
        'face': {'weights': '/my weights/a.pth', 'backbone': {'units': [1, 2]}},
        'bert': {'name': 'x'},
    }
