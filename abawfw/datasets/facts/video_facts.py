"""What is known of one video."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from abawfw.datasets.stores.base import VideoInfo
from abawfw.datasets.stores.labels import COLUMNS


@dataclass(frozen=True, eq=False)
class VideoFacts:
    """One video: its labels, and which of its frames were observed.

    Attributes:
        info: name, partition, frames, fps.
        labels: (frames, 2) float32, NaN where there is no valid label; None where the labels are damaged.
        observed: where a feature was observed, (frames,) bool by feature, of those whose store tells.
        times: seconds at which each frame is shown, (frames,); None where they are unknown.
        mean: of the labelled frames, by target; {} where there is none.
        std: population standard deviation of the labelled frames, by target, exactly 0 if all are equal.
    """

    info: VideoInfo
    labels: np.ndarray | None
    observed: dict[str, np.ndarray]
    times: np.ndarray | None = None
    mean: dict[str, float] = field(init=False)
    std: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        known = self.known()
        mean = zip(COLUMNS, known.mean(axis=0).tolist(), strict=True) if len(known) else ()
        std = zip(COLUMNS, known.std(axis=0) * (np.ptp(known, axis=0) > 0), strict=True) if len(known) else ()
        object.__setattr__(self, 'mean', dict(mean))
        object.__setattr__(self, 'std', {target: float(value) for target, value in std})

    def known(self) -> np.ndarray:
        """The labels of the labelled frames, (labelled frames, 2) float64."""
        labels = np.zeros((0, 2)) if self.labels is None else self.labels.astype(np.float64)
        return labels[~np.isnan(labels[:, 0])]

    @property
    def labelled(self) -> int | None:
        """Frames with a valid label; None where the labels are damaged."""
        return None if self.labels is None else int(np.count_nonzero(~np.isnan(self.labels[:, 0])))

    @property
    def missing(self) -> dict[str, int]:
        """Frames in which a feature was not observed, by feature, of those whose store tells."""
        return {name: int(np.count_nonzero(~mask)) for name, mask in self.observed.items()}

    @property
    def constant(self) -> list[str]:
        """Targets that have one value in all of two or more labelled frames."""
        return [target for target, std in self.std.items() if std == 0 and (self.labelled or 0) > 1]
