"""What lies beside predictions in a run's folder: it may be missing, and may hold anything."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.evaluation.file_numbers import number
from abawfw.files import write_text
from abawfw.json_files import read_json


def write_or_remove(path: Path, text: str | None) -> list[Path]:
    """Write a file beside predictions; without a text, what an earlier test left there goes.

    Returns:
        The file, if there is one.
    """
    if text is None:
        path.unlink(missing_ok=True)
        return []
    write_text(path, text)
    return [path]


def read_dict(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is no file, or another kind of value.

    Raises:
        DataError: the file is no JSON.
    """
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except DataError as error:
        raise DataError(f'{error}; move it away to go on without it') from None
    return content if isinstance(content, dict) else {}


def read_table(path: Path) -> list[dict[str, float]]:
    """A CSV file with a header, one dict per row, without what is no finite number; [] where there is none.

    Raises:
        DataError: the file is no such table.
    """
    if not path.is_file():
        return []
    try:
        rows = list(csv.DictReader(path.read_text(encoding='utf-8').splitlines()))
    except (ValueError, csv.Error) as error:
        raise DataError(f'{path} is damaged: {error}; move it away to go on without it') from error
    return [{key: x for key, value in row.items() if (x := _number(value)) is not None} for row in rows]


def _number(text: Any) -> float | None:
    """The number that a cell holds, if it is one."""
    try:
        return number(float(text))
    except (TypeError, ValueError):
        return None
