"""What stores speak of: videos, features, groups of videos, settings of extraction, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.files import write_text
from abawfw.groups import Groups, known_groups
from abawfw.json_files import read_json

PARTITIONS = ('train', 'val', 'test')
GROUPS = 'groups.csv'
DAMAGED = 'truncated or damaged: copy or write this file again'
NARROW_DTYPES = ('float16', 'uint8')
"""Types of a feature that are smaller than float32."""
KEPT_DTYPES = ('float32', *NARROW_DTYPES)
"""Types of a feature that are handed out as they are stored; others become float32."""


@dataclass(frozen=True)
class VideoInfo:
    """One video of a store.

    Attributes:
        video_id: its name.
        partition: 'train', 'val' or 'test'.
        num_frames: frames.
        fps: frames per second, if known.
        has_labels: whether there are labels.
        group: the person or session that it shares with other videos, if known; see ``abawfw.groups``.
    """

    video_id: str
    partition: str
    num_frames: int
    fps: float | None = None
    has_labels: bool = True
    group: str | None = None


@dataclass(frozen=True)
class FeatureInfo:
    """Shape of one frame of a feature and the numpy name of its type on disk."""

    dims: tuple[int, ...]
    dtype: str


def with_groups(root: Path, videos: Iterable[VideoInfo]) -> tuple[VideoInfo, ...]:
    """The videos of a store with their groups: by ``groups.csv`` in its root, or else as they are.

    Args:
        root: of the store.
        videos: of the store; those with labels must stand in the file.

    Raises:
        DataError: the file does not fit the videos, see ``Groups.read``.
    """
    videos, path = tuple(videos), root / GROUPS
    if not path.exists():
        return videos
    labelled = {video.video_id for video in videos if video.has_labels}
    groups = Groups.read(path, [video.video_id for video in videos], labelled)
    return tuple(replace(video, group=groups.of.get(video.video_id)) for video in videos)


def groups_of(videos: Iterable[VideoInfo]) -> Groups:
    """The groups of some videos; where the data do not say, pairs of names do, see ``known_groups``."""
    return known_groups({video.video_id: video.group for video in videos})


SEVERITIES = ('error', 'warning', 'note')


@dataclass(frozen=True)
class Problem:
    """A finding of tools/check_data.py.

    Attributes:
        severity: 'error' (a run would stop or be wrong), 'warning' (look at it) or 'note' (good to know).
        check: what was looked at, in one or two words.
        text: what was found, with its numbers and the way out.
        partition: where, if it is one partition.
        video_id: where, if it is one video.
        feature: where, if it is one feature.
    """

    severity: str
    check: str
    text: str
    partition: str = ''
    video_id: str = ''
    feature: str = ''


EXTRACTION = 'extraction.json'


def read_extraction(root: Path) -> dict[str, Any]:
    """Settings by feature, and under ``faces`` where images of faces came from; {} where they are unknown.

    Raises:
        DataError: the file is damaged.
    """
    path = root / EXTRACTION
    if not path.exists():
        return {}
    data = read_json(path, 'extract the features again')
    if not isinstance(data, dict) or not all(isinstance(settings, dict) for settings in data.values()):
        raise DataError(f'{path}: expected settings by feature; extract the features again')
    return data


def write_extraction(root: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings, plain values only, whole or not at all."""
    write_text(root / EXTRACTION, json.dumps(settings, indent=1) + '\n')
