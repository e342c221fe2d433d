"""What stands in for MMEngine's visualizer in a run that has none."""

from __future__ import annotations

from typing import Any


class NoRecorder:
    """Takes the figures of a run whose config names no ``visualizer``; they are in metrics.csv anyway.

    MMEngine's default makes a drawing canvas, and the import of matplotlib for it takes half a second.
    """

    dataset_meta: Any = None  # set by MMEngine's loops

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """The config is in the work_dir."""

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, **kwargs: Any) -> None:
        """The figures are in metrics.csv."""

    def close(self) -> None:
        """There is nothing to end."""
