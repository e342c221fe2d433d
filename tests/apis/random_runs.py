"""Runs that are complete but for their training: random weights, a best checkpoint per target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abawfw.config.loading import load_config
from benchmarks.random_runs import random_run


def make_run(
    folder: Path,
    config: Path,
    overrides: dict[str, Any],
    extraction: dict[str, Any] | None = None,
    fps: list[float] | None = None,
) -> Path:
    """A work_dir as tools/train.py leaves it, with other weights for each target."""
    rates = {} if fps is None else {'fps': fps}
    return random_run(folder, load_config(config, overrides), extraction=extraction or {}, **rates)
