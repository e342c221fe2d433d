"""Overrides of a config as they stand on a command line.

A value is a Python literal or a call ``dict(...)`` of literals; texts need no quotes, lists no brackets:
``lr=1e-4``, ``features=affectnet,vggish``, ``losses=[dict(type='MSELoss', weight=2)]``.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from abawfw.errors import ConfigError

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_NAME = re.compile(r'[A-Za-z_]\w*')
_CALL = re.compile(r'[A-Za-z_][\w.]*\(')
# as people write them: 007 and 2023_01 are names, and 1e999 would be infinite
_NUMBER = re.compile(r'[+-]?(?:0|[1-9][0-9]*|[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?')
_PLAIN = re.compile(r"""(?:\$\{\w+\}|[^,()\[\]{}'"=])+""")
_CLOSING = {'[': ']', '(': ')', '{': '}'}
DEEPEST = 50  # brackets within brackets
SHOWN = 200  # characters of a value that an error repeats


class Overrides(argparse.Action):
    """``--cfg-options KEY=VALUE ...``: values by dotted key; given several times, later ones come last."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        """Add these words to what was given before."""
        before = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**before, **parse_words(values, option or '--cfg-options')})


def parse_words(words: Sequence[str], option: str = '--cfg-options') -> dict[str, Any]:
    """Values by dotted key, read as every tool reads ``--cfg-options``.

    Args:
        words: each ``KEY=VALUE``.
        option: of the command line that they stand behind, for errors.

    Raises:
        ConfigError: a word without '=', or a value that is no literal; says where.
    """
    wrong = [word for word in words if '=' not in word[1:]]
    if wrong:
        raise ConfigError(f'{option} {" ".join(wrong)}: give KEY=VALUE')
    pairs = (word.split('=', maxsplit=1) for word in words)
    return {key: parse_value(text, f'{option} {key}=') for key, text in pairs}


def parse_value(text: str, place: str = '') -> Any:
    """Read one value.

    Args:
        text: as it was written.
        place: what stands before it, for errors.

    Returns:
        A number, True, False, None, a list, tuple or dict of such values, or a text. Numbers are read as in
        Python, ``true`` and ``false`` in any case. Commas outside brackets make a list.

    Raises:
        ConfigError: brackets or quotes that do not match, a call of anything but ``dict``.
    """
    text = text.strip()
    call = _CALL.match(text)
    if call and call[0] != 'dict(':
        raise ConfigError(f'{place}{text}: at character 1: {call[0]}... is no value; {_QUOTES}')
    if not (text and text[0] in '[({\'"') and not text.startswith('dict(') and ',' not in text:
        return _word(text)
    reader = _Reader(text, place)
    items, commas = reader.items('')
    return items if commas or not items else items[0]


_QUOTES = (
    'give numbers, texts, True, False, None, lists, dicts and dict(...) of these; a text with such '
    'characters stands in quotes of its own'
)


class _Reader:
    """Reads values from left to right and knows where it is."""

    def __init__(self, text: str, place: str) -> None:
        self.text, self.place, self.at, self.depth = text, place, 0, 0

    def items(self, end: str) -> tuple[list[Any], bool]:
        """Values up to a closing bracket, or to the end of the text, and whether a comma was among them."""
        found: list[Any] = []
        commas = False
        while not self._closes(end):
            found.append(self._value())
            if self._closes(end):
                break
            self._take(',', f"',' or '{end}'" if end else "','")
            commas = True
        self.at += len(end)
        return found, commas

    def _value(self) -> Any:
        start = self._skip()
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse(start, f'more than {DEEPEST} brackets within one another')
        character = self.text[self.at : self.at + 1]
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            value: Any = self._literal(quoted[0], start)
        elif self.text.startswith('dict(', self.at):
            self.at += len('dict(')
            value = self._pairs(')', '=')
        elif character == '{':
            self.at += 1
            value = self._pairs('}', ':')
        elif character in ('[', '('):
            self.at += 1
            value, commas = self.items(_CLOSING[character])
            if character == '(':
                value = tuple(value) if commas or not value else value[0]
        else:
            plain = _PLAIN.match(self.text, self.at)
            if plain is None:
                self._refuse(
                    start, f'{character!r} does not begin a value' if character else 'the value ends here'
                )
            self.at = plain.end()
            if self.text[self.at : self.at + 1] not in ('', ',', ')', ']', '}'):
                self._refuse(start, f'{plain[0].strip()}{self.text[self.at]}... is no value; {_QUOTES}')
            value = _word(plain[0].strip())
        self.depth -= 1
        return value

    def _pairs(self, end: str, sign: str) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while not self._closes(end):
            start = self._skip()
            if sign == '=':
                key: Any = self._name()
            else:
                key = self._key()
            if key in found:
                self._refuse(start, f'the key {key!r} stands there twice')
            self._take(sign, f"'{sign}'")
            found[key] = self._value()
            if not self._closes(end):
                self._take(',', f"',' or '{end}'")
        self.at += len(end)
        return found

    def _name(self) -> str:
        name = _NAME.match(self.text, self.at)
        if name is None:
            self._refuse(self.at, 'dict(...) takes NAME=VALUE')
        self.at = name.end()
        return name[0]

    def _key(self) -> Any:
        """Of a dict in braces: a text in quotes, or a number."""
        start = self.at
        if quoted := _QUOTED.match(self.text, self.at):
            self.at = quoted.end()
            return self._literal(quoted[0], start)
        plain = re.compile(r"""[^:,()\[\]{}'"]+""").match(self.text, self.at)
        if plain is None:
            self._refuse(start, 'a key is a text in quotes, or a number')
        self.at = plain.end()
        return _word(plain[0].strip())

    def _literal(self, quoted: str, start: int) -> Any:
        try:
            return ast.literal_eval(quoted)
        except (SyntaxError, ValueError) as error:
            self._refuse(start, f'{quoted} is no text of Python ({error})')

    def _closes(self, end: str) -> bool:
        self._skip()
        return self.at == len(self.text) if not end else self.text.startswith(end, self.at)

    def _take(self, sign: str, wanted: str) -> None:
        at = self._skip()
        if not self.text.startswith(sign, at):
            found = f', not {self.text[at]!r}' if at < len(self.text) else ''
            self._refuse(at, f'{wanted} is expected here{found}')
        self.at += len(sign)

    def _skip(self) -> int:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.at

    def _refuse(self, at: int, why: str) -> NoReturn:
        shown = self.text if len(self.text) <= SHOWN else f'{self.text[:SHOWN]}...'
        raise ConfigError(f'{self.place}{shown}: at character {at + 1}: {why}')


def _word(text: str) -> Any:
    """What a word without quotes says: a number, True, False, None or the text itself."""
    if text.lower() in ('true', 'false'):
        return text.lower() == 'true'
    if text == 'None':
        return None
    for kind in (int, float) if _NUMBER.fullmatch(text) else ():
        try:
            number = kind(text)
        except ValueError:
            continue
        return text if abs(number) == math.inf else number
    return text


def parse_options(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Arguments by feature, of words such as ``face_embedding.weights=FILE``.

    Values are read as those of ``--cfg-options``; what stands behind further dots goes into a dict.

    Raises:
        ConfigError: a word without '=', or without the name of a feature and a dot.
    """
    options: dict[str, dict[str, Any]] = {}
    for word in words:
        ((key, value),) = parse_words([word]).items()
        feature, *path = key.split('.')
        if not path or not all((feature, *path)):
            raise ConfigError(f'--cfg-options {key}=...: give FEATURE.OPTION=VALUE')
        place = options.setdefault(feature, {})
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return options
