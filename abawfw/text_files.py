"""Text and tables: of files that may come from anyone, and as they are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.files import read_plain


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: it cannot be read, or is no such text.
    """
    content = read_plain(path)
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: cannot be read: {not_utf8(content, error)}') from None


def read_csv(path: Path) -> list[list[str]]:
    """The rows of a table in CSV, empty ones among them; spaces at the start of a cell do not count.

    Raises:
        DataError: it cannot be read, or is no such table: a quote that is never closed, for one.
    """
    rows = csv.reader(io.StringIO(read_text(path), newline=''), skipinitialspace=True, strict=True)
    try:
        return list(rows)
    except csv.Error as error:
        raise DataError(f'{path}: is no table in CSV (line {rows.line_num}: {error})') from None


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    r"""A table in CSV; a cell that a row lacks, or that is None, is empty.

    Args:
        rows: {column: value} each.
        columns: of the table; without any, those of the rows, in the order in which they come.

    >>> csv_text([{'run': 'a'}, {'run': 'b', 'ccc': 0.5}])
    'run,ccc\na,\nb,0.5\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(
        text, columns or list(dict.fromkeys(name for row in rows for name in row)), lineterminator='\n'
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    """What a file that should be text in UTF-8 is instead, as far as its first bytes show it."""
    if content.startswith(b'\x1f\x8b'):
        return 'it is compressed with gzip: unpack it first'
    if content.startswith((b'\xff\xfe', b'\xfe\xff')):
        return 'it is text in UTF-16: save it as UTF-8'
    return (
        f'it is no text in UTF-8, byte {error.start + 1:,} is 0x{content[error.start]:02x}: save it as UTF-8'
    )
