"""What is known of one partition."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from abawfw.datasets.facts.missing_facts import MissingFacts
from abawfw.datasets.facts.target_facts import TargetFacts
from abawfw.datasets.facts.video_facts import VideoFacts
from abawfw.datasets.stores.base import VideoInfo
from abawfw.datasets.stores.labels import COLUMNS

CENTRES = np.linspace(-1, 1, 41)
"""Middles of the bins of labels: every .05, so that -1, 0 and 1 lie in the middle of one."""
EDGES = np.concatenate([CENTRES - 0.025, [CENTRES[-1] + 0.025]])


class PartitionFacts:
    """Facts of the videos of a partition, added one by one.

    Attributes:
        videos: each video in a few numbers.
        plane: labelled frames by bin of valence and bin of arousal, (41, 41) int.
        targets: facts of each target.
        missing: facts of each feature of which the store tells where it was observed.
    """

    def __init__(self) -> None:
        self.videos: list[VideoFacts] = []
        self.plane = np.zeros((len(CENTRES), len(CENTRES)), dtype=np.int64)
        self.targets = {target: TargetFacts() for target in COLUMNS}
        self.missing: dict[str, MissingFacts] = defaultdict(MissingFacts)

    def add(self, info: VideoInfo, labels: np.ndarray | None, observed: dict[str, np.ndarray]) -> None:
        """Add a video.

        Args:
            info: the video.
            labels: (frames, 2), NaN where there is no label; None where the labels are damaged.
            observed: where features were observed, (frames,) bool, by feature.
        """
        missing = {name: int(len(mask) - np.count_nonzero(mask)) for name, mask in observed.items()}
        for name, mask in observed.items():
            self.missing[name].add(mask)
        if labels is None:
            self.videos.append(VideoFacts(info, None, missing=missing))
            return
        known = labels[~np.isnan(labels[:, 0])].astype(np.float64)
        mean = dict(zip(COLUMNS, known.mean(axis=0).tolist(), strict=True)) if len(known) else {}
        # The rounding of a mean would leave constant labels a deviation.
        std = {
            target: float(np.ptp(column) and column.std())
            for target, column in zip(COLUMNS, known.T, strict=True)
            if len(known)
        }
        self.videos.append(VideoFacts(info, len(known), mean, std, missing))
        self.plane += np.histogram2d(known[:, 0], known[:, 1], (EDGES, EDGES))[0].astype(np.int64)
        for facts, column in zip(self.targets.values(), labels.T, strict=True):
            facts.add(column)

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(video.info.num_frames for video in self.videos)

    @property
    def labelled(self) -> int:
        """Frames with a valid label."""
        return sum(video.labelled or 0 for video in self.videos)

    def video_means(self, target: str) -> list[float]:
        """Mean label of each video that has one."""
        return [video.mean[target] for video in self.videos if video.mean]

    def effective_frames(self, target: str) -> float | None:
        """As how many independent frames a video counts, mean over videos with a label; None if unknown."""
        labelled = [video.labelled for video in self.videos if video.labelled]
        found = self.targets[target].autocorrelation.effective_frames(labelled)
        return float(found.mean()) if len(found) and np.isfinite(found).all() else None
