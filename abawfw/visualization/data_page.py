"""The page of a data set: partitions, labels, features, where they were not observed, and curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.conventions import TARGETS
from abawfw.datasets.checking.check import DataReport
from abawfw.datasets.checking.facts import DataFacts, PartitionFacts, VideoFacts
from abawfw.errors import counted
from abawfw.visualization.blocks import (
    Block,
    Column,
    CurveBrowser,
    Facts,
    Figure,
    Line,
    Panel,
    Paragraph,
    Table,
)
from abawfw.visualization.data_labels import bound_blocks, colours, label_blocks, over_time_blocks
from abawfw.visualization.embed import plot_text
from abawfw.visualization.page import Page
from abawfw.visualization.palette import TARGETS as COLOURS
from abawfw.visualization.stored_curves import VideoCurves

COLUMNS = [
    Column('feature'),
    Column('partition'),
    Column('frames', ','),
    Column('missing', ','),
    Column('fraction', '.1%'),
    Column('videos', ',', hint='with a missing frame'),
    Column('gaps', ','),
    Column('median', ',.0f', 'frames of a gap'),
    Column('99 %', ',.0f', 'frames of a gap'),
    Column('longest', ',', 'frames of a gap'),
]


def missing_features(partitions: Mapping[str, PartitionFacts]) -> list[str]:
    """Features with a frame that was not observed, sorted."""
    found = {name for part in partitions.values() for name, facts in part.missing.items() if facts.missing}
    return sorted(found)


def missing_blocks(partitions: Mapping[str, PartitionFacts]) -> list[Block]:
    """A row per feature with missing frames and partition."""
    rows = []
    for feature in missing_features(partitions):
        for name, part in partitions.items():
            if feature not in part.missing:
                continue
            facts = part.missing[feature]
            gaps = facts.gaps
            row = [feature, name, facts.frames, facts.missing, facts.missing / max(facts.frames, 1)]
            row.append(sum(video.missing.get(feature, 0) > 0 for video in part.videos))
            sizes = [*np.percentile(gaps, [50, 99]).tolist(), int(gaps.max())] if len(gaps) else [None] * 3
            rows.append([*row, len(gaps), *sizes])
    if not rows:
        return [Paragraph('None, as far as the store records it: every feature was observed in every frame.')]
    return [Table('Missing frames by feature', COLUMNS, rows)]


PARTITION_COLUMNS = [
    Column('partition'),
    Column('videos', ','),
    Column('frames', ','),
    Column('labelled', ',', hint='frames with a valid label'),
    Column('hours', '.2f', hint='of the videos whose frame rate is known'),
    Column('known of', ',', 'frames per second', 'videos whose frame rate is known'),
    Column('min', '.2f', 'frames per second'),
    Column('median', '.2f', 'frames per second'),
    Column('max', '.2f', 'frames per second'),
]
QUANTILES = {'min': 0, '5 %': 5, '25 %': 25, 'median': 50, '75 %': 75, '95 %': 95, 'max': 100}
LENGTHS = [Column('partition'), *(Column(name, ',.0f', 'frames of a video') for name in QUANTILES)]
BINS = 24
TICKS = [step * 10**power for power in range(7) for step in (1, 2, 5)]


def partition_blocks(partitions: Mapping[str, PartitionFacts]) -> list[Block]:
    """A row per partition, and the lengths of the videos."""
    lengths = {name: np.array([v.info.num_frames for v in part.videos]) for name, part in partitions.items()}
    quantiles = [[name, *np.percentile(n, [*QUANTILES.values()]).tolist()] for name, n in lengths.items()]
    blocks: list[Block] = [
        Table('Videos and frames', PARTITION_COLUMNS, [_partition_row(*item) for item in partitions.items()]),
        Table('Lengths of videos', LENGTHS, quantiles),
    ]
    damaged = sum(video.labels is None for part in partitions.values() for video in part.videos)
    if damaged:
        text = f'The labels of {counted(damaged, "video")} are damaged: their frames count as not labelled.'
        blocks.append(Paragraph(text, warning=True))
    return [*blocks, _figure(lengths)]


def _partition_row(name: str, facts: PartitionFacts) -> list[object]:
    rates = np.array([video.info.fps for video in facts.videos if video.info.fps])
    frames = np.array([video.info.num_frames for video in facts.videos if video.info.fps])
    known = [rates.min(), np.median(rates), rates.max()] if len(rates) else [None] * 3
    hours = float((frames / rates).sum()) / 3600 if len(rates) else None
    return [name, len(facts.videos), facts.frames, facts.labelled, hours, len(rates), *known]


def _figure(lengths: Mapping[str, np.ndarray]) -> Figure:
    every = np.concatenate(list(lengths.values()))
    low, high = max(every.min(), 1), max(every.max(), 1)
    # Bins of equal width on a logarithmic axis; where all videos have one length, one bin around it.
    edges = np.geomspace(low, high + 1, BINS + 1) if high > low else np.array([0.9 * low, 1.1 * low])
    data = []
    for name, colour in colours(lengths).items():
        bars = {
            'type': 'bar',
            'name': plot_text(name),
            'x': (edges[:-1] + edges[1:]) / 2,
            'width': np.diff(edges),
            'y': np.histogram(lengths[name], edges)[0],
            'customdata': np.stack([edges[:-1], edges[1:]], axis=1),
            'marker': {'color': colour},
            'hovertemplate': '%{y} of %{customdata[0]:,.0f} to %{customdata[1]:,.0f} frames',
        }
        data.append(bars)
    layout = {
        'barmode': 'stack',
        'bargap': 0,
        'legend': {'traceorder': 'normal'},
        'xaxis': {
            'type': 'log',
            'title': {'text': 'frames of a video'},
            'tickvals': _ticks(low, high),
            'tickformat': ',d',
        },
        'yaxis': {'title': {'text': 'videos'}, 'tickformat': 'd'},
    }
    return Figure(
        {'data': data, 'layout': layout}, 'Histogram of the lengths of videos, by partition', height=280
    )


def _ticks(low: int, high: int) -> list[int]:
    """Round numbers of frames, or the shortest and the longest length where hardly any lies between them."""
    between = [tick for tick in TICKS if low <= tick <= high]
    return between if len(between) > 1 else sorted({int(low), int(high)})


FINDING_COLUMNS = [Column(title) for title in ('severity', 'check', 'partition', 'video', 'feature', 'found')]
# What was found is a sentence or two, with the name of a file: it is broken into lines instead of cut.
STYLE = '.findings td:last-child { white-space: normal; min-width: 40ch; overflow-wrap: anywhere; }'


class FindingTable(Table):
    """A table of findings, in the order of the report: errors first.

    Args:
        report: what was found.
    """

    def __init__(self, report: DataReport) -> None:
        rows = [
            [p.severity, p.check, p.partition or None, p.video_id or None, p.feature or None, p.text]
            for p in report.problems
        ]
        super().__init__('Findings, errors first', FINDING_COLUMNS, rows)

    def html(self, uid: str) -> str:
        """The table, its last column in lines."""
        return f'<style>{STYLE}</style><div class="findings">{super().html(uid)}</div>'


def finding_blocks(report: DataReport) -> list[Block]:
    """One table of all findings, if there are any."""
    return [FindingTable(report) if report.problems else Paragraph('Nothing.')]


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
        *(Column(name, '.3f', target) for target in TARGETS for name in ('mean', 'std')),
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
    fractions = [missing[name] / frames if name in missing else None for name in features]
    info = video.info
    return [info.video_id, info.partition, info.num_frames, video.labelled, info.fps, *values, *fractions]


def _curves(video: VideoFacts) -> VideoCurves:
    if not video.labelled or video.labels is None:
        return VideoCurves({}, notes=('labels are damaged' if video.labels is None else 'no labels',))
    missing = [name for name, count in video.missing.items() if count]
    notes = [f'{video.info.partition}, {counted(video.info.num_frames, "frame")}']
    if missing:
        notes.append(f'shaded: frames in which {" or ".join(missing)} was not observed')
    observed = np.logical_and.reduce([video.observed[name] for name in missing]) if missing else None
    return VideoCurves(dict(zip(TARGETS, video.labels.T, strict=True)), observed, tuple(notes))


OVER_TIME = (
    'Autocorrelation at lag k: the mean of (x[t] - m) (x[t + k] - m) over all pairs of frames k apart, '
    'divided by the variance, where m and the variance are those of all labelled frames of the partition. '
    'Pairs are taken within stretches of labelled frames, never across a gap. What differs between videos '
    'does not fade with the lag; at long lags only long videos count.'
)
BOUNDS = (
    'CCC of predictions that know only a part of the labels, over all labelled frames of a partition. Lower '
    'bounds know the labels of train alone, and a model that is not above them on val has learned nothing '
    'useful: a constant has a CCC of 0, whatever it is; the mean of the training videos at each frame knows '
    'when in a video something tends to happen (on train it is measured on the data it was made of). Upper '
    'bounds know labels of these very videos, which no model is given. Mean of each video: separates videos '
    'perfectly, but not moments. Moving mean over so many frames before and after, within stretches of '
    'labelled frames and shorter at their ends: misses fast changes. Shifted: perfect but late, or early, '
    'which is the same; only frames count whose partner exists and has a label.'
)
MISSING = (
    'Frames in which a feature was not observed, where the store records it: for face features, frames '
    'without a face. A gap is a run of such frames within a video.'
)


def data_page(facts: DataFacts) -> Page:
    """Everything worth knowing about a data set before a model is trained on it."""
    page = Page(f'Data set {facts.report.root.resolve().name}', _intro(facts))
    page.section('Overview', Facts(_overview(facts)))
    page.section('Findings', *finding_blocks(facts.report), note='Everything that tools/check_data.py finds.')
    if not facts.partitions:
        return page
    page.section('Partitions', *partition_blocks(facts.partitions))
    labelled = {name: partition for name, partition in facts.partitions.items() if partition.labelled}
    if labelled:
        page.section('Labels', *label_blocks(labelled, facts.shifts))
        page.section('Labels over time', *over_time_blocks(labelled), note=OVER_TIME)
        page.section('Bounds', *bound_blocks(labelled), note=BOUNDS)
    page.section('Missing frames', *missing_blocks(facts.partitions), note=MISSING)
    page.section('Videos', *video_blocks(facts))
    return page


def _intro(facts: DataFacts) -> str:
    errors = facts.report.count('error')
    if not errors:
        return ''
    found = f'{counted(errors, "error")} {"was" if errors == 1 else "were"}'
    return f'{found} found in this data: see Findings. Unreadable data is omitted from the other sections.'


def _overview(facts: DataFacts) -> dict[str, str]:
    report = facts.report
    return {
        'Store': f'{report.root} ({facts.kind})',
        'Videos': f'{len(report.videos):,}',
        'Frames': f'{sum(video.num_frames for video in report.videos):,}',
        'Groups': report.groups,
        'Features': ', '.join(report.features) or 'none',
        'Findings': report.counts(),
    }
