"""Many runs of one config: launchers, cross-validation, sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.series.runs import PlannedRun, Series, SeriesResult
    from abawfw.series.sweep_space import draw, grid, read_space

lazy(__name__)
