"""The folder of a run: what is written into it after training, and read from it by anyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.prediction_files import Predictions, read_predictions
    from abawfw.results.comparison import Comparison
    from abawfw.results.predictions import write_predictions
    from abawfw.results.run import Run

lazy(__name__)
