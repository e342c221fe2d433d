"""Everything that the page of a data set tells, read video by video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.datasets.check import DataReport, check_store
from abawfw.datasets.facts.partition_facts import PartitionFacts
from abawfw.datasets.facts.partition_shift import PartitionShift
from abawfw.datasets.facts.video_facts import VideoFacts
from abawfw.datasets.stores.base import PARTITIONS, VideoInfo
from abawfw.datasets.stores.kinds import find_store_kind
from abawfw.datasets.stores.labels import COLUMNS, clean_labels
from abawfw.datasets.stores.survey import Survey
from abawfw.errors import DataError
from abawfw.evaluation.functional import MeanCourse, Moments


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
    """Look at all of a store; what is broken is left out and reported.

    Args:
        root: folder of the store.
        progress: called before each video with the videos done and all; each is looked at twice.

    Raises:
        DataError: there is no such folder, or nothing in it that looks like a store.
    """
    kind = find_store_kind(root)
    report = check_store(kind, root, None, progress and (lambda done, videos: progress(done, 2 * videos)))
    try:
        survey = kind.survey(root)
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
    for column, target in enumerate(COLUMNS):
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
                mask = survey.valid(video, name)
            except DataError:
                continue
            if mask is not None:
                masks[name] = mask
    return masks


def _times(survey: Survey, video: VideoInfo) -> np.ndarray | None:
    """Seconds of the frames of a video; None where they are unknown, damaged or not in order."""
    try:
        times = survey.times(video)
    except DataError:
        return None
    known = times is not None and bool(np.isfinite(times).all() and (np.diff(times) >= 0).all())
    return times if known else None


def _shifts(partitions: dict[str, PartitionFacts]) -> Iterator[PartitionShift]:
    labelled = [(name, facts) for name, facts in partitions.items() if facts.labelled]
    for of in labelled[1:]:
        for target in of[1].targets:
            yield PartitionShift.between(of, labelled[0], target)
