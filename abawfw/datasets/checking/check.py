"""Everything that is wrong with the data of a store, at once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abawfw.conventions import TARGETS
from abawfw.datasets.splits.build import parted_groups
from abawfw.datasets.stores.base import FeatureStore, RunningMoments
from abawfw.datasets.stores.checks import chunks, not_finite
from abawfw.datasets.stores.labels import half_labelled, missing_labels, unlabelled_frames
from abawfw.datasets.stores.records import PARTITIONS, SEVERITIES, Problem, VideoInfo, groups_of, with_groups
from abawfw.datasets.stores.stated_moments import contradicts, count_differing, describe_difference
from abawfw.datasets.stores.survey import Survey, survey_of
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
        survey = survey_of(kind, Path(root))
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


class ContentCheck:
    """Reads every video once and keeps what it finds.

    Args:
        survey: the store.
        features: names of the features to read.
    """

    def __init__(self, survey: Survey, features: Sequence[str]) -> None:
        self._survey = survey
        self._features = features
        self._available = survey.features()
        self._problems: list[Problem] = []
        self._dims: dict[str, tuple[tuple[int, ...], str]] = {}
        self._observed: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._moments: dict[str, RunningMoments] = {}
        self._same_labels: dict[bytes, list[str]] = defaultdict(list)
        self._same_content: dict[bytes, list[str]] = defaultdict(list)

    def add(self, video: VideoInfo) -> None:
        """Look at one video; what cannot be read becomes a problem."""
        content = hashlib.blake2b()
        whole = True
        for name in ['', *(f for f in self._features if video.partition in self._available[f])]:
            try:
                self._problems.extend(
                    self._feature(video, name, content) if name else self._labels(video, content)
                )
            except DataError as error:
                whole = False
                # Without the video: a broken file reads the same for all its videos and is listed once.
                problem = Problem('error', 'unreadable', str(error), video.partition, feature=name)
                self._problems.append(problem)
        if whole and self._features:
            self._same_content[content.digest()].append(video.video_id)

    def problems(self) -> list[Problem]:
        """All findings, with those that need all videos at the end."""
        return [*self._problems, *self._copies(), *self._masks(), *self._statistics()]

    def _labels(self, video: VideoInfo, content: hashlib.blake2b) -> Iterator[Problem]:
        if not video.has_labels:
            return
        labels = self._survey.labels(video)
        where = {'partition': video.partition, 'video_id': video.video_id}
        content.update(np.ascontiguousarray(labels, np.float32).data)
        missing = unlabelled_frames(labels)
        if missing.any():
            edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(np.int8), [0]])))
            runs = edges[1::2] - edges[::2]
            severity = 'warning' if missing.all() else 'note'
            text = (
                f'{int(missing.sum())} of {len(missing)} frames have no valid label (-5), in '
                f'{counted(len(runs), "run")}, the longest {counted(int(runs.max()), "frame")}; '
                f'first at frame {int(missing.argmax())}'
            )
            if half := half_labelled(labels):
                text += f'; {half}'
            yield Problem(severity, 'no label', text, **where)
        for column, name in enumerate(TARGETS):
            values = labels[~missing, column]
            outside = ~(np.abs(labels[:, column]) <= 1) & ~missing_labels(labels)[:, column]
            if outside.any():
                first = int(outside.argmax())
                value = labels[first, column]
                text = (
                    f'{name} is outside [-1, 1] in {counted(int(outside.sum()), "frame")}, first {value!s} '
                    f'in frame {first}; scale the annotation to [-1, 1], with -5 where there is none'
                )
                yield Problem('error', 'label range', text, **where)
            elif len(values) > 1 and (values == values[0]).all():
                text = (
                    f'{name} is {values[0]!s} in all labelled frames: its own CCC is 0 whatever is predicted'
                )
                yield Problem('note', 'constant label', text, **where)
        if len(labels) > 1 and (labels[~missing] != labels[~missing][:1]).any():
            self._same_labels[hashlib.blake2b(np.ascontiguousarray(labels).data).digest()].append(
                video.video_id
            )

    def _feature(self, video: VideoInfo, name: str, content: hashlib.blake2b) -> Iterator[Problem]:
        frames, *rest = self._survey.shape(video, name)
        dims = tuple(rest)
        where = {'partition': video.partition, 'video_id': video.video_id, 'feature': name}
        if frames != video.num_frames:
            text = f'{counted(frames, "frame")}, the labels {video.num_frames}; extract it for exactly these'
            yield Problem('error', 'length', text, **where)
        expected, first_video = self._dims.setdefault(name, (dims, video.video_id))
        if dims != expected:
            text = f'{dims} numbers per frame, {first_video!r} has {expected}; extract it again'
            yield Problem('error', 'dimension', text, **where)
        moments = None
        if video.partition == 'train' and dims == expected and self._survey.stated_moments(name) is not None:
            moments = self._moments.setdefault(name, RunningMoments(dims))
        bad, constant, first = [], True, None
        for start, stop in chunks(frames, dims):
            values = self._survey.read(video, name, start, stop)
            content.update(np.ascontiguousarray(values).data)
            bad.append(not_finite(values))
            if moments is not None:
                moments.add(values[~bad[-1]])
            first = values[0] if first is None else first
            constant = constant and bool((values == first).all())
        wrong = np.concatenate(bad) if bad else np.zeros(0, dtype=bool)
        if wrong.any():
            text = (
                f'NaN or infinite in {int(wrong.sum())} of {frames} frames, first in frame '
                f'{int(wrong.argmax())}; extract it again, or mend these frames and mark them as not valid'
            )
            yield Problem('error', 'not finite', text, **where)
        elif constant and frames > 1:
            yield Problem('note', 'constant', f'the same in all {frames} frames of the video', **where)
        valid = self._survey.observed(video, name)
        if valid is not None:
            if len(valid) != frames:
                text = f'valid has {counted(len(valid), "frame")}, the feature {frames}; write both again'
                yield Problem('error', 'length', text, **where)
            if not valid.any():
                text = f'observed (valid) in none of its {len(valid)} frames: the model never sees it here'
                yield Problem('warning', 'never observed', text, **where)
            observed = self._observed[video.partition, name]
            observed[0] += int(valid.sum())
            observed[1] += len(valid)

    def _copies(self) -> Iterator[Problem]:
        seen = set()
        for videos in self._same_content.values():
            if len(videos) > 1:
                seen.add(tuple(videos))
                text = f'the same content as {", ".join(videos[1:])}; is it one video under several names?'
                yield Problem('warning', 'duplicate', text, video_id=videos[0])
        for videos in self._same_labels.values():
            if len(videos) > 1 and tuple(videos) not in seen:
                text = f'the same labels as {", ".join(videos[1:])}'
                yield Problem('warning', 'duplicate', text, video_id=videos[0])

    def _statistics(self) -> Iterator[Problem]:
        for name, found in self._moments.items():
            stated = self._survey.stated_moments(name)
            if stated is None or not found.count:
                continue
            shape = np.shape(stated[0])
            way_out = self._survey.statistics_way_out
            if shape != found.mean.shape:
                text = f'stored mean has shape {shape}, the feature {found.mean.shape}; {way_out}'
                yield Problem('error', 'statistics', text, 'train', feature=name)
            elif differing := count_differing(stated, found):
                severity = 'error' if contradicts(stated, found) else 'warning'
                text = (
                    f'stored for {differing} of its {found.mean.size} numbers is not what train has: '
                    f'{describe_difference(stated, found)}; {way_out}'
                )
                yield Problem(severity, 'statistics', text, 'train', feature=name)

    def _masks(self) -> Iterator[Problem]:
        for (partition, name), (observed, frames) in self._observed.items():
            if observed < frames:
                text = f'observed (valid) in {observed} of {frames} frames, {observed / frames:.1%}'
                yield Problem('note', 'valid frames', text, partition, feature=name)
