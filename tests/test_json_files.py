"""JSON that may hold anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from abawfw.errors import DataError
from abawfw.json_files import plain_text, read_json, truth_value, whole_number


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'[' * 100_000, 'nests too deeply'),
        (b'{"a":' * 100_000, 'nests too deeply'),
        (b'{', 'is damaged: no JSON'),
        (b'\xff\xfe', 'is damaged: no JSON .it is text in UTF-16: save it as UTF-8'),
        (b'\x1f\x8b\x08', 'is damaged: no JSON .it is compressed with gzip: unpack it first'),
        (b'["\xe4"]', 'is damaged: no JSON .it is no text in UTF-8, byte 3 is 0xe4: save it as UTF-8'),
        (b'{"val_0": 1, "b": {}, "val_0": 2}', "the key 'val_0' is there twice; keep one"),
        (b'[{"a": {"b": 1, "b": 1}}]', "the key 'b' is there twice"),
        (b'1' * 5000, 'is damaged: no JSON'),
        (rb'{"a": ["\ud800"]}', r"half a surrogate pair: '\\ud800'"),
        (rb'{"a\u0000b": 1}', r"a NUL .*: 'a\\x00b'"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / 'x.json').write_bytes(content)
    with pytest.raises(DataError, match=rf'^.*x\.json.*{message}.*$'):
        read_json(tmp_path / 'x.json')


def test_what_is_no_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'none\.json: file is missing'):
        read_json(tmp_path / 'none.json')
    os.mkfifo(tmp_path / 'pipe.json')
    with pytest.raises(DataError, match=r'pipe\.json: is a pipe'):
        read_json(tmp_path / 'pipe.json')
    (tmp_path / 'x.json').touch()
    os.truncate(tmp_path / 'x.json', 6 << 30)
    with pytest.raises(DataError, match=r'x\.json: 6,442,450,944 bytes; JSON files of up to'):
        read_json(tmp_path / 'x.json')


def test_whole_characters_are_read(tmp_path: Path) -> None:
    value = {'caf\u00e9 \U0001f600': [1, 2.5, None, True]}
    (tmp_path / 'x.json').write_text(json.dumps(value))  # as two halves, escaped
    assert read_json(tmp_path / 'x.json') == value


@pytest.mark.parametrize(
    'value', [float('inf'), float('nan'), True, '3', None, 2.5, -1, [3], 1 << 60, float(1 << 60)]
)
def test_no_whole_number(value: Any) -> None:
    with pytest.raises(ValueError, match='is no whole number from 0 to 9,007,199,254,740,992'):
        whole_number(value)


def test_other_kinds_are_not_converted() -> None:
    assert (whole_number(3), whole_number(3.0), truth_value(True), plain_text('a')) == (3, 3, True, 'a')
    for value in ('no', 0, None):
        with pytest.raises(ValueError, match='where true or false is expected'):
            truth_value(value)
    with pytest.raises(ValueError, match='int where a text is expected'):
        plain_text(3)
