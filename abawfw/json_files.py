"""JSON files that may come from anyone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.files import check_plain
from abawfw.text_files import not_utf8

MAX_BYTES = 512 << 20
"""Largest file that is read; the predictions of all videos of Aff-Wild2 are a tenth of it."""
_ODD = re.compile(rb'\\u(?:0000|[dD][89a-fA-F])')


def read_json(path: Path, way_out: str = '') -> Any:
    """Content of a JSON file.

    ``NaN`` and ``Infinity`` are read as Python's ``json`` does; who needs whole numbers takes them with
    `whole_number`.

    Args:
        path: of the file.
        way_out: what its reader does where it is damaged, such as 'write it again'; ends every error.

    Raises:
        DataError: there is no such file, it is no plain file or too large, is no JSON, nests too deeply, has
            a key twice in one object, or holds text with a NUL or half a surrogate pair, which can be the
            name of nothing.
    """
    try:
        return _read(path)
    except DataError as error:
        raise DataError(f'{error}; {way_out}' if way_out else str(error)) from None


def _read(path: Path) -> Any:
    check_plain(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f'{path}: {size:,} bytes; JSON files of up to {MAX_BYTES:,} are read')
        content = path.read_bytes()
        value = json.loads(_text(content), object_pairs_hook=_unique)
    except _TwiceError as error:
        raise DataError(f'{path}: the key {str(error)[:80]!r} is there twice; keep one of them') from None
    except FileNotFoundError:
        raise DataError(f'{path}: file is missing') from None
    except RecursionError:
        raise DataError(f'{path} is damaged: it nests too deeply for JSON') from None
    except (OSError, ValueError) as error:
        raise DataError(f'{path} is damaged: no JSON ({error})') from None
    if _ODD.search(content):  # may be the two halves of one character
        _check_texts(value, path)
    return value


class _TwiceError(Exception):
    """An object of JSON that has a key twice."""


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; Python's own reader keeps the last of two values of a key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return found


def _text(content: bytes) -> str:
    """The text of a file.

    Raises:
        ValueError: it is none in UTF-8; says what it seems to be.
    """
    try:
        return content.decode('utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(content, error)) from None


MOST = 1 << 53  # larger ones are not exact where JSON has floating-point numbers


def whole_number(value: Any, least: int = 0) -> int:
    """A number of things, as JSON gives it: no text, truth value or infinity is taken for one.

    Raises:
        ValueError: it is none, or out of the range.
    """
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not least <= value <= MOST:
        raise ValueError(f'{str(value)[:40]} is no whole number from {least:,} to {MOST:,}')
    return value


def truth_value(value: Any) -> bool:
    """True or False; no text or number is taken for one.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f'{str(value)[:40]} where true or false is expected')
    return value


def plain_text(value: Any) -> str:
    """A text; anything else is not written as one.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f'{type(value).__name__} where a text is expected')
    return value


def _check_texts(value: Any, path: Path) -> None:
    """Refuse text that no file and no page can hold."""
    if isinstance(value, str):
        if '\0' in value or (not value.isascii() and any('\ud800' <= c <= '\udfff' for c in value)):
            raise DataError(f'{path}: holds text with a NUL or half a surrogate pair: {value[:40]!a}')
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_texts(key, path)
            _check_texts(item, path)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, path)
