"""Pictures written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from abawfw.files import Replacement


def save_figure(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure of matplotlib beside ``path`` and rename it; the ending of the name says the format."""
    # publishers refuse the Type 3 fonts that are Matplotlib's default
    with Replacement(path) as temporary, matplotlib.rc_context({'pdf.fonttype': 42}):
        figure.savefig(temporary, dpi=dpi, format=path.suffix.removeprefix('.') or None)
