"""How the features of a store were extracted: a text file beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.files import write_text
from abawfw.json_files import read_json

EXTRACTION = 'extraction.json'


def read_extraction(root: Path) -> dict[str, Any]:
    """Settings by feature, and under ``faces`` where pictures of faces came from; {} where nothing tells.

    Raises:
        DataError: the file is damaged.
    """
    path = root / EXTRACTION
    if not path.exists():
        return {}
    try:
        data = read_json(path)
    except DataError as error:
        raise DataError(f'{error}; extract the features again') from None
    if not isinstance(data, dict) or not all(isinstance(settings, dict) for settings in data.values()):
        raise DataError(f'{path}: expected settings by feature; extract the features again')
    return data


def write_extraction(root: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings, plain values only, whole or not at all."""
    write_text(root / EXTRACTION, json.dumps(settings, indent=1) + '\n')
