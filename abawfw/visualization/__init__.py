"""Pages, figures and annotated videos of what a run predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.visualization.annotation_page import annotation_page
    from abawfw.visualization.comparison_page import ComparisonPage
    from abawfw.visualization.curves import draw_training, draw_videos
    from abawfw.visualization.data_page import data_page
    from abawfw.visualization.overlay import write_overlay
    from abawfw.visualization.page import Page
    from abawfw.visualization.run_page import run_page
    from abawfw.visualization.va_figure import draw_curves

lazy(__name__)
