"""Measuring: pure functions, the metric that calls them, and post-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.evaluation.postprocess.pipeline import Pipeline
    from abawfw.evaluation.va_metric import VAMetric

lazy(__name__)
