"""What is known of one partition."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from abawfw.datasets.facts.missing_facts import MissingFacts
from abawfw.datasets.facts.target_facts import TargetFacts
from abawfw.datasets.facts.video_facts import VideoFacts
from abawfw.datasets.stores.base import groups_of
from abawfw.datasets.stores.labels import COLUMNS

CENTRES = np.linspace(-1, 1, 41)
"""Middles of the bins of labels: every .05, so that -1, 0 and 1 lie in the middle of one."""
EDGES = np.concatenate([CENTRES - 0.025, [CENTRES[-1] + 0.025]])


class PartitionFacts:
    """Facts of the videos of a partition, added one by one.

    Attributes:
        videos: each of them.
        plane: labelled frames by bin of valence and bin of arousal, (41, 41) int.
        targets: facts of each target.
        missing: facts of each feature of which the store tells where it was observed.
    """

    def __init__(self) -> None:
        self.videos: list[VideoFacts] = []
        self.plane = np.zeros((len(CENTRES), len(CENTRES)), dtype=np.int64)
        self.targets = {target: TargetFacts() for target in COLUMNS}
        self.missing: dict[str, MissingFacts] = defaultdict(MissingFacts)

    def add(self, video: VideoFacts) -> None:
        """Add a video."""
        self.videos.append(video)
        for name, mask in video.observed.items():
            self.missing[name].add(mask)
        if video.labels is None:
            return
        valence, arousal = video.known().T
        self.plane += np.histogram2d(valence, arousal, (EDGES, EDGES))[0].astype(np.int64)
        for facts, column in zip(self.targets.values(), video.labels.T, strict=True):
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

    def unit_means(self, target: str) -> list[float]:
        """Mean label of each group of videos, as far as groups are known, and of each other video."""
        labelled = {video.info.video_id: video for video in self.videos if video.mean}
        means = []
        for unit in groups_of(video.info for video in labelled.values()).units(labelled):
            frames = [labelled[v].labelled or 0 for v in unit]
            means.append(float(np.average([labelled[v].mean[target] for v in unit], weights=frames)))
        return means

    def effective_frames(self, target: str) -> float | None:
        """As how many independent frames a video counts, mean over videos with a label; None if unknown."""
        labelled = [video.labelled for video in self.videos if video.labelled]
        found = self.targets[target].autocorrelation.effective_frames(labelled)
        return float(found.mean()) if len(found) and np.isfinite(found).all() else None
