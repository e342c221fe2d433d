"""Everything that is wrong with the data of a store, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from abawfw.datasets.check_content import ContentCheck
from abawfw.datasets.splits.build import parted_groups
from abawfw.datasets.stores.base import PARTITIONS, FeatureStore, VideoInfo, groups_of, with_groups
from abawfw.datasets.stores.problem import SEVERITIES, Problem
from abawfw.datasets.stores.survey import Survey
from abawfw.errors import DataError, counted, nearest


@dataclass(frozen=True)
class DataReport:
    """What a check looked at and what it found, errors first.

    Attributes:
        root: folder of the store.
        videos: the videos that were looked at, with their groups.
        features: the features that were looked at.
        problems: the findings.
    """

    root: Path
    videos: tuple[VideoInfo, ...]
    features: tuple[str, ...]
    problems: tuple[Problem, ...]

    def count(self, severity: str) -> int:
        """Number of findings of a severity: 'error', 'warning' or 'note'."""
        return sum(problem.severity == severity for problem in self.problems)

    @property
    def groups(self) -> str:
        """What is known of the groups of videos, in words."""
        return groups_of(self.videos).text([video.video_id for video in self.videos])

    def counts(self) -> str:
        """Numbers of all severities: '0 errors, 1 warning, 3 notes'."""
        return ', '.join(counted(self.count(severity), severity) for severity in SEVERITIES)


def check_store(
    kind: type[FeatureStore],
    root: str | Path,
    features: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Check a store; a broken part never hides what is wrong with others.

    Args:
        kind: the class of the store.
        root: its folder.
        features: names of the features to check; None checks all it has.
        progress: called before each video with the videos done and all videos.
    """
    root = Path(root)
    try:
        survey = kind.survey(root)
    except DataError as error:
        return DataReport(root, (), (), (Problem('error', 'store', str(error)),))
    problems = [*survey.problems(), *_partitions(survey), *_features(survey, features), *_videos(survey)]
    available = survey.features()
    checked = [name for name in (features if features is not None else available) if name in available]
    content = ContentCheck(survey, checked)
    videos = survey.videos()
    grouped = tuple(videos)
    try:
        grouped = with_groups(root, videos)
    except DataError as error:
        problems.append(Problem('error', 'groups', str(error)))
    problems += _parted(grouped)
    for done, video in enumerate(videos):
        if progress:
            progress(done, len(videos))
        if video.num_frames:
            content.add(video)
            problems += [*survey.integrity(video, checked), *survey.recording(video)]
    problems += content.problems()
    # The same broken file is met once per video: say it once.
    unique = sorted(dict.fromkeys(problems), key=lambda problem: SEVERITIES.index(problem.severity))
    return DataReport(root, grouped, tuple(checked), tuple(unique))


def _partitions(survey: Survey) -> Iterator[Problem]:
    present = {video.partition for video in survey.videos()}
    for partition in PARTITIONS:
        if partition not in present:
            yield Problem(
                'warning', 'partition', 'no videos: this partition is missing or unreadable', partition
            )


def _features(survey: Survey, wanted: Sequence[str] | None) -> Iterator[Problem]:
    available = survey.features()
    if wanted is None and not available:
        yield Problem('error', 'feature', 'the store has no features')
    partitions = [p for p in PARTITIONS if any(p in having for having in available.values())]
    partitions += [v.partition for v in survey.videos() if v.partition not in partitions]
    for name in available if wanted is None else wanted:
        if name not in available:
            text = f'the store has no feature {name!r}; {nearest(name, available)}'
            yield Problem('error', 'feature', text, feature=name)
            continue
        for partition in dict.fromkeys(partitions):
            if partition not in available[name]:
                yield Problem(
                    'warning' if wanted is None else 'error',
                    'feature',
                    f'this partition has no feature {name!r}; extract it, or leave the feature out',
                    partition,
                    feature=name,
                )


def _parted(videos: Sequence[VideoInfo]) -> Iterator[Problem]:
    """Groups of videos that the partitions have on both sides."""
    for group in parted_groups(*([v for v in videos if v.partition == side] for side in ('train', 'val'))):
        text = f'group {group!r} is in train and in val: scores on val do not tell how new persons would fare'
        yield Problem('warning', 'groups', text)


def _videos(survey: Survey) -> Iterator[Problem]:
    videos = survey.videos()
    places: dict[str, list[str]] = {}
    for video in videos:
        places.setdefault(video.video_id, []).append(video.partition)
    for video_id, count in Counter(video.video_id for video in videos).items():
        if count > 1:
            text = (
                f'there {count} times, in {" and in ".join(places[video_id])}; remove or rename all but one'
            )
            yield Problem('error', 'duplicate', text, places[video_id][0], video_id)
    for video in videos:
        if not video.num_frames:
            text = 'has no frames; remove it from the store'
            yield Problem('error', 'empty', text, video.partition, video.video_id)
        elif video.num_frames == 1:
            text = 'has one frame: no statistics over time, and its own CCC is 0'
            yield Problem('warning', 'one frame', text, video.partition, video.video_id)
