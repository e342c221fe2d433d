"""The page of a protocol: scores of configs, learning curves of their runs, and differences by video."""

from __future__ import annotations

from typing import Any

from abawfw.errors import counted
from abawfw.results.compared_score import MEAN, level_text
from abawfw.results.config_comparison import THESE_RUNS, ConfigComparison
from abawfw.visualization.blocks import Block, Column, Figure, Paragraph, SideBySide, Table
from abawfw.visualization.comparison_page import sentence, short_names
from abawfw.visualization.embed import plot_text
from abawfw.visualization.page import Page
from abawfw.visualization.palette import FAINT, look


def config_page(comparison: ConfigComparison, title: str) -> Page:
    """The page, to be rendered or written.

    Args:
        comparison: of the configs.
        title: of the page.
    """
    c = comparison
    seeds = len(c.by_seed[MEAN][0])
    page = Page(
        title,
        f'{c.stage.capitalize()} predictions of {counted(len(c.videos), "video")} of val by {len(c.names)} '
        f'configs, {counted(seeds, "seed")} each. Differences are to {c.names[0]}.',
    )
    note = (
        f'CCC: mean over the seeds; std: standard deviation over them. Intervals and tests: over '
        f'{c.unit_text}, {THESE_RUNS}. Not significant does not mean equal.'
    )
    warnings = [Paragraph(sentence(text), warning=True) for text in c.notes]
    page.section('Scores', *warnings, _scores(c), _differences(c), note=note)
    curves = SideBySide(*(_learning(c, target) for target in c.targets))
    page.section('Learning curves', curves, note='CCC on val after each epoch, a line for each run.')
    page.section(
        'Video by video',
        *_videos(c),
        note="A video's own CCC, mean over the seeds: that of the config minus that of the first.",
    )
    return page


def _scores(c: ConfigComparison) -> Table:
    columns = [Column('config')]
    for target in c.targets:
        columns += [Column(name, '.4f', target) for name in ('CCC', 'std', 'low', 'high')]
    if len(c.targets) > 1:
        columns += [Column('CCC', '.4f', MEAN), Column('std', '.4f', MEAN)]
    columns += [Column('parameters', ',.0f', 'run'), Column('seconds', ',.0f', 'run')]
    columns += [Column('frames/s', ',.0f', 'run', 'of training, in the last epoch')]
    rows = []
    for k, short in enumerate(short_names(c.names)):
        row: list[Any] = [short]
        for target in c.targets:
            interval = c.intervals[target][k]
            row += [c.mean(k, target), c.spread(k, target), interval.low, interval.high]
        if len(c.targets) > 1:
            row += [c.mean(k, MEAN), c.spread(k, MEAN)]
        row += [c.summary(k, key) for key in ('parameters', 'seconds', 'frames_per_second')]
        rows.append(row)
    return Table(f'Mean over the seeds; low and high: 95 % interval over {c.unit}s', columns, rows)


def _differences(c: ConfigComparison) -> Table:
    columns = [
        Column('config'),
        Column('target'),
        Column('difference', '+.4f'),
        Column('low', '+.4f'),
        Column('high', '+.4f'),
        Column('p corrected', '.4f', hint=f'times {c.scores[0].comparisons} comparisons'),
        Column('these runs'),
    ]
    short = dict(zip(c.names, short_names(c.names), strict=True))
    rows = [
        [
            *(short[s.run], s.target, s.difference.value, s.difference.low, s.difference.high),
            *(s.corrected, s.verdict),
        ]
        for s in c.scores
    ]
    return Table(
        f'CCC minus that of {short[c.names[0]]}; low and high: {level_text(c.level)} interval', columns, rows
    )


def _learning(c: ConfigComparison, target: str) -> Figure:
    """CCC of every run over its epochs, a colour for each config."""
    data = []
    for k, (name, short) in enumerate(zip(c.names, short_names(c.names), strict=True)):
        color, dash, _ = look(k)
        for number, run in enumerate(run for seed in c.configs[name] for run in seed):
            epochs = run.epochs
            data.append(
                {
                    'type': 'scatter',
                    'mode': 'lines' if len(epochs) > 1 else 'markers',
                    'x': [row.get('epoch', i) for i, row in enumerate(epochs, 1)],
                    'y': [row.get(f'val_ccc_{target}') for row in epochs],
                    'name': plot_text(short),
                    'legendgroup': str(k),
                    'showlegend': number == 0,
                    'meta': plot_text(f'{short}, {run.name}'),
                    'hovertemplate': '%{meta}<br>epoch %{x}: %{y:.4f}<extra></extra>',
                    'line': {'color': color, 'dash': dash, 'width': 1.6},
                    'marker': {'color': color},
                }
            )
    axis: dict[str, Any] = {'title': {'text': 'epoch'}}
    if max(len(x) for curve in data if isinstance(x := curve['x'], list)) < 12:
        axis['dtick'] = 1
    layout = {'xaxis': axis, 'yaxis': {'title': {'text': 'CCC'}}, 'showlegend': True}
    return Figure(
        {'data': data, 'layout': layout}, f'CCC of {target} on val over the epochs of each run', title=target
    )


def _videos(c: ConfigComparison) -> list[Block]:
    """How much better or worse every config is on every video."""
    columns = [Column('video'), Column('frames', ',')]
    names = short_names(c.names)
    parts: list[list[Any]] = [list(c.videos)]
    parts.append([c.moments[c.targets[0]][0][0][video].n for video in c.videos])
    figures: list[Block] = []
    for target in c.targets:
        columns.append(Column(names[0], '.3f', target, f'own CCC in {c.names[0]}'))
        own = [[c.own(k, target, video) for video in c.videos] for k in range(len(c.names))]
        parts.append(own[0])
        data = []
        for k in range(1, len(c.names)):
            apart = [None if a is None or b is None else b - a for a, b in zip(own[0], own[k], strict=True)]
            columns.append(Column(names[k], '+.3f', target, f'own CCC in {c.names[k]} minus that'))
            parts.append(apart)
            color, _, mark = look(k)
            known = [(plot_text(v), d) for v, d in zip(c.videos, apart, strict=True) if d is not None]
            data.append(
                {
                    'type': 'box',
                    'name': plot_text(names[k]),
                    'y': [d for _, d in known],
                    'text': [v for v, _ in known],
                    'boxpoints': 'all',
                    'jitter': 0.4,
                    'pointpos': 0,
                    'hovertemplate': '%{text}: %{y:+.3f}<extra></extra>',
                    'line': {'color': color, 'width': 1},
                    'marker': {'color': color, 'symbol': mark, 'size': 6, 'opacity': 0.7},
                    'fillcolor': 'rgba(0,0,0,0)',
                    'showlegend': False,
                }
            )
        zero = {'type': 'line', 'x0': 0, 'x1': 1, 'xref': 'paper', 'y0': 0, 'y1': 0}
        layout = {
            'yaxis': {'title': {'text': f'own CCC minus that of {plot_text(names[0])}'}},
            'shapes': [{**zero, 'line': {'color': FAINT, 'width': 1}}],
        }
        label = f'Own CCC of each video in {target}, minus that of the first config'
        figures.append(Figure({'data': data, 'layout': layout}, label, title=target))
    rows = list(zip(*parts, strict=True))
    return [SideBySide(*figures), Table('Videos', columns, rows)]
