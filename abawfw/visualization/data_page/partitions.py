"""How many videos and frames there are, and how long the videos are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.datasets.facts import PartitionFacts
from abawfw.errors import counted
from abawfw.visualization.blocks import Block, Column, Figure, Paragraph, Table
from abawfw.visualization.data_page.style import colours
from abawfw.visualization.embed import plot_text

COLUMNS = [
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
        Table('Videos and frames', COLUMNS, [_row(*item) for item in partitions.items()]),
        Table('Lengths of videos', LENGTHS, quantiles),
    ]
    damaged = sum(video.labels is None for part in partitions.values() for video in part.videos)
    if damaged:
        text = f'The labels of {counted(damaged, "video")} are damaged: their frames count as not labelled.'
        blocks.append(Paragraph(text, warning=True))
    return [*blocks, _figure(lengths)]


def _row(name: str, facts: PartitionFacts) -> list[object]:
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
