"""Facts about a data set, for its page and its check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp

from abawfw.conventions import TARGETS
from abawfw.datasets.checking.check import DataReport, check_store
from abawfw.datasets.stores.kinds import find_store_kind
from abawfw.datasets.stores.labels import clean_labels
from abawfw.datasets.stores.records import PARTITIONS, VideoInfo, groups_of
from abawfw.datasets.stores.survey import Survey, survey_of
from abawfw.errors import DataError
from abawfw.evaluation.functional import (
    Autocorrelation,
    MeanCourse,
    Moments,
    moving_mean_bound,
    shift_bound,
    stretches,
    video_mean_bound,
)
from abawfw.evaluation.functional.ccc import is_constant


@dataclass(frozen=True, eq=False)
class VideoFacts:
    """One video: its labels, and which of its frames were observed.

    Attributes:
        info: name, partition, frames, fps.
        labels: (frames, 2) float32, NaN where there is no valid label; None where the labels are damaged.
        observed: where a feature was observed, (frames,) bool by feature, of those whose store knows.
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
        mean = zip(TARGETS, known.mean(axis=0).tolist(), strict=True) if len(known) else ()
        std = zip(TARGETS, known.std(axis=0) * (np.ptp(known, axis=0) > 0), strict=True) if len(known) else ()
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
        """Frames in which a feature was not observed, by feature, of those whose store knows."""
        return {name: int(np.count_nonzero(~mask)) for name, mask in self.observed.items()}

    @property
    def constant(self) -> list[str]:
        """Targets that have one value in all of two or more labelled frames."""
        return [target for target, std in self.std.items() if std == 0 and (self.labelled or 0) > 1]


WINDOWS = (5, 10, 25, 50, 100, 200, 400)
"""One-sided windows of the moving mean, in frames."""

SHIFTS = (5, 10, 20, 30, 45, 60)
"""Frames by which labels are shifted."""


class TargetFacts:
    """Sums over the videos that were added; nothing grows with their number.

    Attributes:
        constant: labels against the mean of their video, pooled.
        moving_mean: labels against their moving mean, pooled, by window.
        shift: labels against shifted labels, pooled, by shift.
        course: labels against the mean over the training videos at each frame, pooled.
        autocorrelation: of the labels.
    """

    def __init__(self) -> None:
        self.constant = Moments()
        self.moving_mean = dict.fromkeys(WINDOWS, Moments())
        self.shift = dict.fromkeys(SHIFTS, Moments())
        self.course = Moments()
        self.autocorrelation = Autocorrelation()

    def add(self, labels: np.ndarray) -> None:
        """Add a video by its labels, (frames,), NaN where there is none."""
        labels = labels.astype(np.float64)
        self.constant = self.constant.merge(video_mean_bound(labels))
        for window, pooled in self.moving_mean.items():
            self.moving_mean[window] = pooled.merge(moving_mean_bound(labels, window))
        for shift, pooled in self.shift.items():
            self.shift[shift] = pooled.merge(shift_bound(labels, shift))
        self.autocorrelation.add(labels)

    @property
    def mean(self) -> float:
        """Mean of all labelled frames; there must be one."""
        return self.constant.mean_true

    @property
    def std(self) -> float:
        """Population standard deviation of the labelled frames, exactly 0 if all are equal."""
        variance = self.constant.square_true / self.constant.n
        return 0.0 if is_constant(self.mean, variance) else float(np.sqrt(variance))

    @property
    def between(self) -> float | None:
        """Fraction of the variance that is between the means of videos; None where nothing varies."""
        return self.constant.square_pred / self.constant.square_true if self.std else None


class MissingFacts:
    """Frames in which one feature was not observed, and the gaps that they form.

    Attributes:
        frames: frames of the videos that were added.
        missing: how many of them were not observed.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.missing = 0
        self._gaps: list[np.ndarray] = []

    def add(self, observed: np.ndarray) -> None:
        """Add a video, (frames,) bool, False where the feature was not observed."""
        self.frames += len(observed)
        self.missing += int(len(observed) - np.count_nonzero(observed))
        self._gaps.append(np.diff(stretches(~observed), axis=1)[:, 0])

    @property
    def gaps(self) -> np.ndarray:
        """Frames of every gap, (gaps,) int; a gap ends at the ends of its video."""
        return np.concatenate(self._gaps) if self._gaps else np.zeros(0, dtype=np.int64)


CENTRES = np.linspace(-1, 1, 41)
"""Middles of the bins of labels: every .05, so that -1, 0 and 1 lie in the middle of one."""
EDGES = np.concatenate([CENTRES - 0.025, [CENTRES[-1] + 0.025]])


class PartitionFacts:
    """Facts of the videos of a partition, added one by one.

    Attributes:
        videos: each of them.
        plane: labelled frames by bin of valence and bin of arousal, (41, 41) int.
        targets: facts of each target.
        missing: facts of each feature of which the store knows where it was observed.
    """

    def __init__(self) -> None:
        self.videos: list[VideoFacts] = []
        self.plane = np.zeros((len(CENTRES), len(CENTRES)), dtype=np.int64)
        self.targets = {target: TargetFacts() for target in TARGETS}
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


@dataclass(frozen=True)
class PartitionShift:
    """One target in a partition, against another partition.

    Attributes:
        of: the partition.
        against: the other one.
        target: 'valence' or 'arousal'.
        means: mean of its frames minus that of the other, in standard deviations of the frames of the other;
            None where those do not vary.
        distance: Kolmogorov and Smirnov's D between the means of the videos, or of groups of them as far as
            they are known: the largest difference between the fractions of them whose mean is at most some
            value. Not of frames: frames of a video depend on one another, and taken as if they did not, every
            partition would differ from any other.
        p: how often D would be as large if the videos, or groups, of both came from one distribution.
    """

    of: str
    against: str
    target: str
    means: float | None
    distance: float
    p: float

    @classmethod
    def between(
        cls, of: tuple[str, PartitionFacts], against: tuple[str, PartitionFacts], target: str
    ) -> PartitionShift:
        """Compare two partitions, (name, facts) each, both with labels."""
        (name, facts), (other_name, other) = of, against
        here, there = facts.targets[target], other.targets[target]
        test = ks_2samp(facts.unit_means(target), other.unit_means(target))
        return cls(
            of=name,
            against=other_name,
            target=target,
            means=(here.mean - there.mean) / there.std if there.std else None,
            distance=float(test.statistic),
            p=float(test.pvalue),
        )


@dataclass(frozen=True)
class DataFacts:
    """What a store holds and what is wrong with it.

    Attributes:
        kind: of the store: 'packed', 'rucaim3', 'trials'.
        report: everything that tools/check_data.py finds.
        partitions: facts by partition; {} where the store cannot be opened.
        shifts: each partition with labels against the first one with labels.
    """

    kind: str
    report: DataReport
    partitions: dict[str, PartitionFacts]
    shifts: tuple[PartitionShift, ...]


def read_facts(root: str | Path, progress: Callable[[int, int], None] | None = None) -> DataFacts:
    """Look at all of a store; what is broken is omitted and reported.

    Args:
        root: folder of the store.
        progress: called before each video with the videos done and all; each is looked at twice.

    Raises:
        DataError: there is no such folder, or nothing in it that looks like a store.

    >>> facts = read_facts('data/demo')
    >>> facts.kind, list(facts.partitions), facts.report.counts()
    ('rucaim3', ['train', 'val', 'test'], '0 errors, 0 warnings, 5 notes')
    """
    kind = find_store_kind(root)
    report = check_store(kind, root, None, progress and (lambda done, videos: progress(done, 2 * videos)))
    try:
        survey = survey_of(kind, Path(root))
    except DataError:  # stands in the report
        return DataFacts(kind.short_name, report, {}, ())
    videos = survey.videos()
    names = dict.fromkeys([*PARTITIONS, *(video.partition for video in videos)])
    present = {video.partition for video in videos}
    partitions = {name: PartitionFacts() for name in names if name in present}
    for done, (video, grouped) in enumerate(zip(videos, report.videos, strict=True)):
        if progress:
            progress(len(videos) + done, 2 * len(videos))
        found = _labels(survey, video), _observed(survey, video), _times(survey, video)
        partitions[video.partition].add(VideoFacts(grouped, *found))
    _measure_course(partitions)
    return DataFacts(kind.short_name, report, partitions, tuple(_shifts(partitions)))


def _measure_course(partitions: dict[str, PartitionFacts]) -> None:
    """Hold the labels of every partition against the mean over the training videos at each frame."""
    for column, target in enumerate(TARGETS):
        course = MeanCourse()
        labels = {
            name: [video.labels[:, column] for video in facts.videos if video.labels is not None]
            for name, facts in partitions.items()
        }
        for of in labels.get('train', []):
            course.add(of)
        for name, facts in partitions.items():
            found = (course.against(of) for of in labels[name])
            facts.targets[target].course = Moments.pool(part for part in found if part is not None)


def _labels(survey: Survey, video: VideoInfo) -> np.ndarray | None:
    """Labels as a store hands them out; None where they are damaged."""
    if not video.has_labels:
        return np.full((video.num_frames, 2), np.nan, dtype=np.float32)
    try:
        return clean_labels(survey.labels(video), video.video_id)
    except DataError:
        return None


def _observed(survey: Survey, video: VideoInfo) -> dict[str, np.ndarray]:
    """Masks of a video by feature, of those that can be read."""
    masks = {}
    for name, partitions in survey.features().items():
        if video.partition in partitions:
            try:
                mask = survey.observed(video, name)
            except DataError:
                continue
            if mask is not None:
                masks[name] = mask
    return masks


def _times(survey: Survey, video: VideoInfo) -> np.ndarray | None:
    """Seconds of the frames of a video; None where there are none, or none in order."""
    try:
        times = survey.times(video)
    except DataError:
        return None
    if times is None or not len(times) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        return None
    return times


def _shifts(partitions: dict[str, PartitionFacts]) -> Iterator[PartitionShift]:
    labelled = [(name, facts) for name, facts in partitions.items() if facts.labelled]
    for of in labelled[1:]:
        for target in of[1].targets:
            yield PartitionShift.between(of, labelled[0], target)


__all__ = [
    'DataFacts',
    'MissingFacts',
    'PartitionFacts',
    'PartitionShift',
    'TargetFacts',
    'VideoFacts',
    'read_facts',
]
