"""Every video in a row, with its labels at a click."""

from __future__ import annotations

import numpy as np

from abawfw.datasets.facts import DataFacts, VideoFacts
from abawfw.datasets.stores.labels import COLUMNS as TARGETS
from abawfw.errors import counted
from abawfw.visualization.blocks import Block, Column, CurveBrowser, Line, Panel, Table
from abawfw.visualization.data_page.missing import missing_features
from abawfw.visualization.palette import TARGETS as COLOURS
from abawfw.visualization.stored_curves import VideoCurves

LABELLED = 3
"""The column by which the table is sorted at first: a video with a curve comes first."""


def video_blocks(facts: DataFacts) -> list[Block]:
    """A table of all videos, and the labels of the one that is chosen."""
    features = missing_features(facts.partitions)
    columns = [
        Column('video'),
        Column('partition'),
        Column('frames', ','),
        Column('labelled', ','),
        Column('fps', '.2f'),
        *(Column(name, '.3f', target) for target in TARGETS for name in ('mean', 'deviation')),
        *(Column(name, '.1%', 'missing frames') for name in features),
    ]
    videos: dict[str, VideoFacts] = {}
    for partition in facts.partitions.values():
        for video in partition.videos:
            videos[_unused(video.info.video_id, videos)] = video
    rows = [_row(video, features) for video in videos.values()]
    table = Table('Videos', columns, rows, sort=(LABELLED, True), keys=list(videos))
    curves = {name: _curves(video)._replace(times=video.times) for name, video in videos.items()}
    panels = [
        Panel(target, [Line(target, target, target, COLOURS[target])], (-1.05, 1.05)) for target in TARGETS
    ]
    return [CurveBrowser(table, curves, panels)]


def _unused(name: str, used: dict[str, VideoFacts]) -> str:
    """The name, with a number where it is there already: a broken store may have a video twice."""
    number, found = 1, name
    while found in used:
        number += 1
        found = f'{name} ({number})'
    return found


def _row(video: VideoFacts, features: list[str]) -> list[object]:
    values = [of.get(target) for target in TARGETS for of in (video.mean, video.std)]
    frames, missing = max(video.info.num_frames, 1), video.missing
    shares = [missing[name] / frames if name in missing else None for name in features]
    info = video.info
    return [info.video_id, info.partition, info.num_frames, video.labelled, info.fps, *values, *shares]


def _curves(video: VideoFacts) -> VideoCurves:
    if not video.labelled or video.labels is None:
        return VideoCurves({}, notes=('labels are damaged' if video.labels is None else 'no labels',))
    missing = [name for name, count in video.missing.items() if count]
    notes = [f'{video.info.partition}, {counted(video.info.num_frames, "frame")}']
    if missing:
        notes.append(f'shaded: frames in which {" or ".join(missing)} was not observed')
    observed = np.logical_and.reduce([video.observed[name] for name in missing]) if missing else None
    return VideoCurves(dict(zip(TARGETS, video.labels.T, strict=True)), observed, tuple(notes))
