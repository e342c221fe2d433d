"""What predictions that know only so much of the labels reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abawfw.datasets.facts import PartitionFacts, TargetFacts
from abawfw.datasets.facts.target_facts import SHIFTS, WINDOWS
from abawfw.evaluation.functional import Moments
from abawfw.visualization.blocks import Block, Column, Figure, SideBySide, Table
from abawfw.visualization.data_page.style import colours, line
from abawfw.visualization.embed import plot_text

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
