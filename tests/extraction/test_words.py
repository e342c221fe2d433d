"""Words with times, as files give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from abawfw.errors import DataError
from abawfw.extraction.extractors.bert import Word, read_transcript, transcript_file

WORDS = [Word('Hello', 0.5, 0.75), Word('world.', 0.8, 1.25)]


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('a.csv', 'word,start,end\nHello,0.5,0.75\nworld.,0.8,1.25\n'),
        ('a.csv', 'world., 0.8, 1.25\n\nHello, 0.5, 0.75'),
        ('a.csv', '\ufeffWord,Start,End\r\nHello,.5,.75\r\n"world.",.8,1.25\r\n'),
        (
            'a.json',
            '[{"word": "Hello", "start": 0.5, "end": 0.75}, {"end": 1.25, "start": 0.8, "word": "world."}]',
        ),
        ('a.json', '[["Hello", 0.5, 0.75], ["world.", 0.8, 1.25]]'),
    ],
)
def test_reads(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding='utf-8')
    assert read_transcript(tmp_path / name) == WORDS


@pytest.mark.parametrize(('name', 'text'), [('a.csv', ''), ('a.csv', 'word,start,end\n'), ('a.json', '[]')])
def test_nobody_speaks(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_transcript(tmp_path / name) == []


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.csv', 'word,start,end\nHello,0.5\n', 'line 2.*needs word, start, end'),
        ('a.csv', 'Hello,0,soon\n', 'line 1.*needs word, start, end'),
        ('a.csv', 'Hello,1,0.5\n', 'not after its end'),
        ('a.csv', ' ,0,1\n', 'needs a word'),
        ('a.csv', 'Hello,nan,1\n', 'not after its end'),
        ('a.json', '[["Hello", 0]]', 'entry 1.*needs word'),
        ('a.json', '[3]', 'entry 1.*needs word'),
        (
            'a.json',
            '[{"text": "a", "start": 0, "end": 1}]',
            'entry 1: no word; it has text, start, end. A',
        ),
        ('a.json', '[{"word": null, "start": 0, "end": 1}]', 'entry 1.*needs word'),
        ('a.json', '[["a", true, 2]]', 'entry 1.*needs word'),
        ('a.json', '[["a", 0, true]]', 'entry 1.*needs word'),
        ('a.json', '{"word": "Hello"}', 'a dict, expected a list'),
        ('a.json', '[', 'is damaged: no JSON'),
        ('a.json', '[' * 100_000, 'nests too deeply'),
        ('a.json', f'[["Hello", 0, {10**400}]]', 'entry 1.*needs word'),
    ],
)
def test_what_is_no_word(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_transcript(tmp_path / name)


def test_the_file_of_a_video(tmp_path: Path) -> None:
    for name in ('a.csv', 'b.json', 'c_left.csv', 'c.csv'):
        (tmp_path / name).touch()
    assert transcript_file(tmp_path, 'a').name == 'a.csv'
    assert transcript_file(tmp_path, 'b_right').name == 'b.json'
    assert transcript_file(tmp_path, 'c_left').name == 'c_left.csv'
    assert transcript_file(tmp_path, 'c_right').name == 'c.csv'
    with pytest.raises(DataError, match=r"no transcript of video 'd'.*d\.csv or d\.json"):
        transcript_file(tmp_path, 'd')


def test_a_header_of_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'v.csv'
    path.write_text('0,1,2\nhello,0.5,0.9\n')
    with pytest.raises(DataError, match=r"v\.csv: line 1 is '0,1,2', which may be a header or the word '0'"):
        read_transcript(path)
