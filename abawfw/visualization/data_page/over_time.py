"""How fast labels change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.datasets.facts import PartitionFacts
from abawfw.visualization.blocks import Block, Column, Figure, Paragraph, SideBySide, Table
from abawfw.visualization.data_page.style import colours, dashes, line
from abawfw.visualization.embed import plot_text

LAGS = (1, 3, 10, 30, 100, 300, 1000)
COLUMNS = [
    Column('partition'),
    Column('target'),
    *(Column(str(lag), '.3f', 'autocorrelation at a lag of ... frames') for lag in LAGS),
    Column(
        'independent frames', '.1f', hint='as how many independent frames a video counts, mean over videos'
    ),
    Column('labelled frames', ',.1f', hint='mean over videos'),
]
INDEPENDENT = (
    'Independent frames: as how many independent frames a video counts when the mean of a partition is '
    'taken, mean over videos. A video of n labelled frames counts as n / (1 + 2 sum over k of (1 - k / n) '
    'r(k)), where r is the autocorrelation of the partition, up to the last lag before it is first 0 or less.'
)


def over_time_blocks(partitions: Mapping[str, PartitionFacts]) -> list[Block]:
    """The autocorrelation of labels of partitions that have some."""
    rows = []
    for name, part in partitions.items():
        counts = [video.labelled for video in part.videos if video.labelled]
        for target, facts in part.targets.items():
            values = facts.autocorrelation.values()
            at = [float(values[lag]) if lag < len(values) else None for lag in LAGS]
            rows.append([name, target, *at, part.effective_frames(target), float(np.mean(counts))])
    figures = [_figure(partitions, target) for target in next(iter(partitions.values())).targets]
    return [Table('Autocorrelation of labels', COLUMNS, rows), Paragraph(INDEPENDENT), SideBySide(*figures)]


def _figure(partitions: Mapping[str, PartitionFacts], target: str) -> Figure:
    data = []
    for name, colour in colours(partitions).items():
        values = partitions[name].targets[target].autocorrelation.values()
        lags = np.unique(np.geomspace(1, LAGS[-1], 80).round().astype(int))
        lags = lags[lags < len(values)]
        hover = f'{plot_text(name)}, lag %{{x}}: %{{y:.3f}}<extra></extra>'
        style = {'color': colour, 'width': 2, 'dash': dashes(partitions)[name]}
        data.append(line(name, colour, lags, values[lags], line=style, hovertemplate=hover))
    layout = {
        'xaxis': {'type': 'log', 'title': {'text': 'lag (frames)'}, 'tickvals': LAGS, 'range': [0, 3.02]},
        'yaxis': {
            'title': {'text': f'autocorrelation of {target}'},
            'range': [None, 1.02],
            'rangemode': 'tozero',
        },
    }
    return Figure({'data': data, 'layout': layout}, f'Autocorrelation of {target} over the lag', height=300)
