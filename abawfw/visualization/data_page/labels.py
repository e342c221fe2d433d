"""How labels are distributed, and whether partitions differ in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from abawfw.datasets.facts import PartitionFacts, PartitionShift
from abawfw.datasets.facts.partition_facts import CENTRES
from abawfw.visualization.blocks import Block, Column, Figure, Paragraph, SideBySide, Table
from abawfw.visualization.data_page.style import colours, dashes, line
from abawfw.visualization.embed import plot_text
from abawfw.visualization.palette import DENSITY

COLUMNS = [
    Column('partition'),
    Column('target'),
    Column('videos', ',', hint='with a labelled frame'),
    Column('frames', ',', hint='with a valid label'),
    Column('mean', '.3f'),
    Column('deviation', '.3f', hint='standard deviation over all frames'),
    Column('between videos', '.1%', hint='share of the variance that is between the means of videos'),
    Column('constant videos', ',', hint='with one value in all of two or more labelled frames'),
]
SHIFT_COLUMNS = [
    Column('partition'),
    Column('against'),
    Column('target'),
    Column('difference of means', '+.2f', hint='in standard deviations of the frames of the other partition'),
    Column('D', '.2f', hint="Kolmogorov and Smirnov's distance between the means of videos or groups"),
    Column('p', '.3f', hint='of D, with one value per video, or per group where groups are known'),
]
SHIFT_NOTE = (
    'Difference of means: over all labelled frames, in standard deviations of the other partition. D: the '
    'largest difference between the fractions of videos, or of groups of them where these are known, whose '
    'mean label is at most some value; p: how often it would be as large if both came from one distribution. '
    'Frames are not independent: a test over frames would call any two partitions different. p is not '
    'corrected for the number of rows.'
)
LOGARITHMIC = [[i / (len(DENSITY) - 2), colour] for i, (_, colour) in enumerate(DENSITY[1:])]
"""The colours of densities at equal steps, for a scale that is logarithmic already."""


def label_blocks(partitions: Mapping[str, PartitionFacts], shifts: Sequence[PartitionShift]) -> list[Block]:
    """Numbers and pictures of the labels of partitions that have some."""
    rows = [
        [
            name,
            target,
            len(part.video_means(target)),
            part.labelled,
            facts.mean,
            facts.std,
            facts.between,
            sum(target in video.constant for video in part.videos),
        ]
        for name, part in partitions.items()
        for target, facts in part.targets.items()
    ]
    blocks: list[Block] = [Table('Labels by partition', COLUMNS, rows)]
    blocks.append(
        SideBySide(*(_histogram(partitions, axis, t) for axis, t in ((1, 'valence'), (0, 'arousal'))))
    )
    blocks.append(SideBySide(*_planes(partitions)))
    if shifts:
        rows = [[s.of, s.against, s.target, s.means, s.distance, s.p] for s in shifts]
        blocks += [Table('Shifts between partitions', SHIFT_COLUMNS, rows), Paragraph(SHIFT_NOTE)]
    return blocks


def _histogram(partitions: Mapping[str, PartitionFacts], axis: int, target: str) -> Figure:
    data = []
    for name, colour in colours(partitions).items():
        share = partitions[name].plane.sum(axis=axis) / partitions[name].labelled
        hover = f'%{{y:.1%}} of {plot_text(name)} within .025 of %{{x:.2f}}<extra></extra>'
        shape = {'color': colour, 'width': 2, 'shape': 'hvh', 'dash': dashes(partitions)[name]}
        data.append(line(name, colour, CENTRES, share, line=shape, hovertemplate=hover))
    layout = {
        'xaxis': {'title': {'text': target}, 'range': [-1.05, 1.05]},
        'yaxis': {'title': {'text': 'share of frames'}, 'tickformat': '.0%', 'rangemode': 'tozero'},
    }
    return Figure(
        {'data': data, 'layout': layout}, f'Distribution of {target} over frames, by partition', height=300
    )


def _planes(partitions: Mapping[str, PartitionFacts]) -> list[Figure]:
    """One density per partition, on one scale of colours."""
    shares = {name: part.plane.T / part.labelled for name, part in partitions.items()}
    # One bin may hold far more than all others: on a logarithmic scale those still show.
    depths = {name: np.log10(np.where(share > 0, share, np.nan)) for name, share in shares.items()}
    low = min(float(np.nanmin(depth)) for depth in depths.values())
    high = max(float(np.nanmax(depth)) for depth in depths.values())
    ticks = (
        np.arange(np.ceil(low), np.floor(high) + 1) if np.floor(high) >= np.ceil(low) else np.array([high])
    )
    figures = []
    for name, depth in depths.items():
        heatmap = {
            'type': 'heatmap',
            'x': CENTRES,
            'y': CENTRES,
            'z': depth,
            'zmin': low,
            'zmax': high,
            'customdata': shares[name],
            'colorscale': LOGARITHMIC,
            'colorbar': {'tickvals': ticks, 'ticktext': [f'{100 * 10**t:.3g} %' for t in ticks]},
            'hovertemplate': 'valence %{x:.2f}, arousal %{y:.2f}: %{customdata:.3%}<extra></extra>',
        }
        axis = {'range': [-1.025, 1.025], 'constrain': 'domain'}
        layout = {
            'title': {'text': plot_text(name)},
            'xaxis': {'title': {'text': 'valence'}, **axis},
            'yaxis': {'title': {'text': 'arousal'}, 'scaleanchor': 'x', **axis},
        }
        caption = f'Share of the labelled frames of {name} in bins of .05; the scale is logarithmic.'
        text = f'Density of labels of {name} over the plane of valence and arousal'
        figures.append(Figure({'data': [heatmap], 'layout': layout}, text, caption, height=420))
    return figures
