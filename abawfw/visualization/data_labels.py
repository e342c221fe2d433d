"""What the figures of a data set's page have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from abawfw.datasets.checking.facts import (
    CENTRES,
    SHIFTS,
    WINDOWS,
    PartitionFacts,
    PartitionShift,
    TargetFacts,
)
from abawfw.evaluation.functional import Moments
from abawfw.visualization.blocks import Block, Column, Figure, Paragraph, SideBySide, Table
from abawfw.visualization.embed import plot_text
from abawfw.visualization.palette import DENSITY, look


def colours(partitions: Iterable[str]) -> dict[str, str]:
    """A colour for each partition."""
    return {name: look(i).color for i, name in enumerate(partitions)}


def dashes(partitions: Iterable[str]) -> dict[str, str]:
    """A dash for each partition, for lines that nothing else distinguishes."""
    return {name: look(i).dash for i, name in enumerate(partitions)}


def line(name: str, colour: str, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    """A line of a figure."""
    return {
        'type': 'scatter',
        'mode': 'lines',
        'name': plot_text(name),
        'x': x,
        'y': y,
        'line': {'color': colour, 'width': 2},
        **more,
    }


COLUMNS = [
    Column('partition'),
    Column('target'),
    Column('videos', ',', hint='with a labelled frame'),
    Column('frames', ',', hint='with a valid label'),
    Column('mean', '.3f'),
    Column('std', '.3f', hint='standard deviation over all frames'),
    Column('between videos', '.1%', hint='fraction of the variance that is between the means of videos'),
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
    """Tables and figures of the labels of partitions that have some."""
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
        fraction = partitions[name].plane.sum(axis=axis) / partitions[name].labelled
        hover = f'%{{y:.1%}} of {plot_text(name)} within .025 of %{{x:.2f}}<extra></extra>'
        shape = {'color': colour, 'width': 2, 'shape': 'hvh', 'dash': dashes(partitions)[name]}
        data.append(line(name, colour, CENTRES, fraction, line=shape, hovertemplate=hover))
    layout = {
        'xaxis': {'title': {'text': target}, 'range': [-1.05, 1.05]},
        'yaxis': {'title': {'text': 'fraction of frames'}, 'tickformat': '.0%', 'rangemode': 'tozero'},
    }
    return Figure(
        {'data': data, 'layout': layout}, f'Distribution of {target} over frames, by partition', height=300
    )


def _planes(partitions: Mapping[str, PartitionFacts]) -> list[Figure]:
    """One density per partition, on one scale of colours."""
    fractions = {name: part.plane.T / part.labelled for name, part in partitions.items()}
    # One bin may hold far more than all others: on a logarithmic scale those still show.
    depths = {name: np.log10(np.where(part > 0, part, np.nan)) for name, part in fractions.items()}
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
            'customdata': fractions[name],
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
        caption = f'Fraction of the labelled frames of {name} in bins of .05; the scale is logarithmic.'
        text = f'Density of labels of {name} over the plane of valence and arousal'
        figures.append(Figure({'data': [heatmap], 'layout': layout}, text, caption, height=420))
    return figures


DASHES = {'valence': 'solid', 'arousal': 'dot'}


def bound_blocks(partitions: Mapping[str, PartitionFacts]) -> list[Block]:
    """CCC by what is known of the labels, of partitions that have some."""
    of = {
        (name, target): facts for name, part in partitions.items() for target, facts in part.targets.items()
    }
    columns = [Column('predictions'), *(Column(target, '.3f', name) for name, target in of)]
    rows: list[list[Any]] = [
        ['lower: constant', *(0.0 for _ in of)],
        ['lower: mean of train at each frame', *(_ccc(facts.course) for facts in of.values())],
        ['mean of each video', *(_ccc(facts.constant) for facts in of.values())],
        *(
            [
                f'moving mean, ±{window}',
                *(_ccc(f.moving_mean[window]) for f in of.values()),
            ]
            for window in WINDOWS
        ),
        *([f'shifted by {shift} frames', *(_ccc(f.shift[shift]) for f in of.values())] for shift in SHIFTS),
    ]
    moving = _figure(of, partitions, 'moving_mean', WINDOWS, 'window of the moving mean (± frames)')
    shifted = _figure(of, partitions, 'shift', SHIFTS, 'shift (frames)')
    return [Table('CCC by what is known', columns, rows), SideBySide(moving, shifted)]


def _figure(
    of: Mapping[tuple[str, str], TargetFacts],
    partitions: Mapping[str, PartitionFacts],
    attribute: str,
    sizes: tuple[int, ...],
    title: str,
) -> Figure:
    data = []
    for (name, target), facts in of.items():
        colour = colours(partitions)[name]
        values = [_ccc(getattr(facts, attribute)[size]) for size in sizes]
        more: dict[str, Any] = {
            'mode': 'lines+markers',
            'line': {'color': colour, 'width': 2, 'dash': DASHES[target]},
            'hovertemplate': f'{plot_text(name)} {target}, %{{x}} frames: %{{y:.3f}}<extra></extra>',
        }
        data.append(line(f'{name} {target}', colour, sizes, values, **more))
    layout = {
        'xaxis': {'title': {'text': title}, 'rangemode': 'tozero'},
        'yaxis': {'title': {'text': 'CCC'}, 'range': [None, 1.01]},
    }
    return Figure({'data': data, 'layout': layout}, f'CCC over the {title}', height=320)


def _ccc(moments: Moments) -> float | None:
    return moments.ccc if moments.n else None


LAGS = (1, 3, 10, 30, 100, 300, 1000)
ORDER = [
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
    figures = [_mean_figure(partitions, target) for target in next(iter(partitions.values())).targets]
    return [Table('Autocorrelation of labels', ORDER, rows), Paragraph(INDEPENDENT), SideBySide(*figures)]


def _mean_figure(partitions: Mapping[str, PartitionFacts], target: str) -> Figure:
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
