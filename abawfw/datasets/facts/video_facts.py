"""What is known of one video without its frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from abawfw.datasets.stores.base import VideoInfo


@dataclass(frozen=True)
class VideoFacts:
    """One video in a few numbers.

    Attributes:
        info: name, partition, frames, fps.
        labelled: frames with a valid label; None where the labels are damaged.
        mean: of the labelled frames, by target; {} where there is none.
        std: population standard deviation of the labelled frames, by target.
        missing: frames in which a feature was not observed, by feature, of those whose store tells.
    """

    info: VideoInfo
    labelled: int | None
    mean: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def constant(self) -> list[str]:
        """Targets that have one value in all of two or more labelled frames."""
        return [target for target, std in self.std.items() if std == 0 and (self.labelled or 0) > 1]
