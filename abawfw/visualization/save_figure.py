"""Pictures written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib


def save_figure(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure of matplotlib beside ``path`` and rename it; the ending of the name says the format."""
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    try:
        # publishers refuse the Type 3 fonts that are Matplotlib's default
        with matplotlib.rc_context({'pdf.fonttype': 42}):
            figure.savefig(temporary, dpi=dpi)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
