"""Words with the times at which they are spoken, a file per video."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from abawfw.datasets.converters.feature_folder import stems
from abawfw.errors import DataError
from abawfw.features.source_videos import named
from abawfw.json_files import read_json


class Word(NamedTuple):
    """A word as speech recognition gives it, with the punctuation that follows.

    Attributes:
        text: the word.
        start: seconds on the clock of the video at which it begins.
        end: seconds at which it is over.
    """

    text: str
    start: float
    end: float


def words_file(folder: Path, video: str) -> Path:
    """The file with the words of a video: VIDEO.csv or VIDEO.json; both persons of a video share one.

    Raises:
        DataError: there is none.
    """
    for name in stems(video):
        for kind in ('.csv', '.json'):
            path = named(folder, f'{name}{kind}')
            if path.is_file():
                return path
    raise DataError(
        f'{folder}: no words of video {video!r}: needs {video}.csv or {video}.json with word, start and end '
        '(seconds) of each, empty where nobody speaks'
    )


def read_words(path: Path) -> list[Word]:
    """Words in order of their start.

    Args:
        path: .csv: lines ``word,start,end``, with or without this header; .json: a list of objects with
            these keys, or of lists in this order.

    Raises:
        DataError: it cannot be read, or a line is no word with two times.
    """
    try:
        rows = list(_json_rows(path) if path.suffix == '.json' else _csv_rows(path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f'{path}: cannot be read ({type(error).__name__}: {error})') from error
    return sorted((_word(path, *row) for row in rows), key=lambda word: word.start)


def _csv_rows(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding='utf-8-sig', newline='') as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
            names = [value.strip().lower() for value in row]
            if number == 1 and names == ['0', '1', '2']:
                raise DataError(
                    f"{path}: line 1 is '0,1,2', which may be a header or the word '0': write word,start,end "
                    'above it, or in its place'
                )
            if row and not (number == 1 and names == ['word', 'start', 'end']):
                yield f'line {number}', row


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ValueError(f'a {type(entries).__name__}, expected a list of words')
    for number, entry in enumerate(entries, 1):
        values = [entry.get(k) for k in ('word', 'start', 'end')] if isinstance(entry, dict) else entry
        yield f'entry {number}', values


def _word(path: Path, where: str, values: Any) -> Word:
    try:
        text, start, end = values
        word = Word(str(text).strip(), float(start), float(end))
    except (TypeError, ValueError, OverflowError):
        raise DataError(f'{path}: {where}: {values!s:.80}: needs word, start, end (seconds)') from None
    if not (word.text and math.isfinite(word.start) and word.start <= word.end < math.inf):
        raise DataError(f'{path}: {where}: {values}: needs a word and a start that is not after its end')
    return word
