"""Pictures written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abawfw.files import Replacement


def save_figure(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure of matplotlib beside ``path`` and rename it; the ending of the name says the format."""
    with Replacement(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=path.suffix.removeprefix('.') or None)
