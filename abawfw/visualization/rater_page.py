"""The page of raters: how far they agree, who is late, and the label that is made of their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from abawfw.errors import counted
from abawfw.evaluation.functional.rater_delays import RATE
from abawfw.evaluation.raters.assessment import Assessment
from abawfw.visualization.blocks import (
    Block,
    Column,
    CurveBrowser,
    Facts,
    Figure,
    Line,
    Panel,
    Paragraph,
    SideBySide,
    Table,
)
from abawfw.visualization.embed import plot_text
from abawfw.visualization.page import Page
from abawfw.visualization.palette import TARGETS, look
from abawfw.visualization.stored_curves import VideoCurves

AGREEMENT = (
    'Each rater with the mean of the others, over all frames that all raters of a video have rated. alpha '
    "without: Cronbach's alpha of the others; where it is above that of all, the rater is listed as one who "
    'disagrees. Intervals: 95 %, over {}.'
)
DELAYS = (
    'How much later than the median of all raters each is, by windowed cross-correlation with the mean of '
    'the others: five values a second, windows of 20 s. Above 0: later. What all share cannot be seen.'
)


def rater_page(
    title: str, rule: str, targets: Sequence[Assessment], warnings: Sequence[str], notes: Sequence[str]
) -> Page:
    """The page, to be rendered or written.

    Args:
        title: of the page.
        rule: name of what made the label.
        targets: what is known of the raters of each target.
        warnings: what a reader must not miss, a line each.
        notes: a line each.
    """
    page = Page(title, f'The label of every frame is made by {rule} from what its raters say.')
    page.section('Overview', Facts(_overview(targets)), *(Paragraph(note) for note in notes))
    found: list[Block] = [Paragraph(text, warning=True) for text in warnings]
    page.section('Warnings', *(found or [Paragraph('None.')]), note='Nobody is left out because of these.')
    page.section(
        'Agreement',
        *(block for of in targets for block in _agreement(of)),
        note=AGREEMENT.format(_units(targets)),
    )
    if any(of.delays for of in targets):
        page.section('Delays', *_delays(targets), note=DELAYS)
    page.section('Videos', _videos(targets), note='Every rater, and the label in the colour of its target.')
    return page


def _overview(targets: Sequence[Assessment]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for of in targets:
        frames = sum(len(video.times) for video in of.videos.values())
        labelled = sum(int(np.isfinite(label).sum()) for label in of.fused.labels.values())
        facts[of.target.capitalize()] = (
            f'{counted(len(of.raters), "rater")}, {counted(len(of.videos), "video")}, '
            f'{labelled:,} of {frames:,} frames labelled'
        )
    return facts


def _units(targets: Sequence[Assessment]) -> str:
    return ' and '.join(dict.fromkeys(of.unit_text for of in targets))


def _agreement(of: Assessment) -> list[Block]:
    if not of.agreement.raters:
        return [Paragraph(f'{of.target}: no frame has two raters.')]
    columns = [Column('rater'), Column('frames', ',')]
    for name in ('CCC', 'PCC'):
        columns += [Column(name, '.3f'), Column('low', '.3f', name), Column('high', '.3f', name)]
    columns += [Column('alpha without', '.3f')]
    weights = of.fused.weights
    weight = f'fraction that the rater counts for {of.fused.weighed}'
    columns += [Column('weight', '.3f', hint=weight)] if weights else []
    rows = []
    for rater, found in of.agreement.raters.items():
        row: list[Any] = [rater, found.frames]
        for measure in (found.ccc, found.pcc):
            row += [measure.value, *measure.interval[:2]]
        row.append(found.alpha_without)
        rows.append([*row, weights.get(rater)] if weights else row)
    panels = [
        [
            *(', '.join(panel.raters), panel.videos, panel.frames),
            *(panel.alpha.value, *panel.alpha.interval[:2], panel.icc.value, *panel.icc.interval[:2]),
        ]
        for panel in of.agreement.panels
    ]
    together = [Column('raters'), Column('videos', ','), Column('frames', ',')]
    for name in ('alpha', 'ICC(2,k)'):
        together += [Column(name, '.3f'), Column('low', '.3f', name), Column('high', '.3f', name)]
    name = of.target.capitalize()
    return [
        Table(f'{name}: each rater', columns, rows, sort=(2, True)),
        *([Paragraph(f'{name}: weight: {weight}.')] if weights else []),
        Table(f'{name}: all raters of the same videos', together, panels),
        *(Paragraph(f'{name}: no interval: {text}') for text in of.obstacles()),
    ]


def _delays(targets: Sequence[Assessment]) -> list[Block]:
    columns = [Column('rater'), Column('target'), Column('delay', '+.2f', hint='seconds')]
    columns += [Column('low', '+.2f'), Column('high', '+.2f'), Column('peak', '.3f'), Column('warning')]
    rows = [
        [rater, of.target, d.seconds, d.low, d.high, float(d.curve.max()), d.warning or None]
        for of in targets
        for rater, d in of.delays.items()
    ]
    return [SideBySide(*(_correlations(of) for of in targets if of.delays)), Table('Delays', columns, rows)]


def _correlations(of: Assessment) -> Figure:
    """Correlation with the mean of the others at each lag, a line for each rater."""
    data = []
    for k, (rater, delay) in enumerate(of.delays.items()):
        color, dash, _ = look(k)
        lags = (np.arange(len(delay.curve)) - len(delay.curve) // 2) / RATE
        data.append(
            {
                'type': 'scatter',
                'mode': 'lines',
                'name': plot_text(rater),
                'x': lags,
                'y': delay.curve,
                'line': {'color': color, 'dash': dash, 'width': 1.6},
                'hovertemplate': f'{plot_text(rater)}<br>%{{x:+.1f}} s: %{{y:.3f}}<extra></extra>',
            }
        )
    layout = {
        'xaxis': {'title': {'text': 'seconds later'}},
        'yaxis': {'title': {'text': 'correlation'}},
        'showlegend': True,
    }
    label = f'Correlation of each rater of {of.target} with the mean of the others, moved in time'
    return Figure({'data': data, 'layout': layout}, label, title=of.target, height=420)


def _videos(targets: Sequence[Assessment]) -> CurveBrowser:
    """A table of the videos, and all curves of the one that is chosen."""
    columns = [Column('video'), Column('frames', ',')]
    for of in targets:
        columns += [Column('raters', ',', of.target), Column('alpha', '.3f', of.target)]
        columns.append(Column('ICC(2,k)', '.3f', of.target))
        columns.append(Column('least CCC', '.3f', of.target, 'of a rater with the mean of the others'))
    names = list(dict.fromkeys(name for of in targets for name in of.videos))
    rows, curves = [], {}
    for name in names:
        (video, *_) = [of.videos[name] for of in targets if name in of.videos]
        row: list[Any] = [name, len(video.times)]
        drawn: dict[str, Any] = {}
        for of in targets:
            row += _summary(of, name)
            if name in of.videos:
                ratings = of.videos[name]
                pairs = zip(ratings.raters, ratings.values, strict=True)
                drawn |= {f'{of.target} of {rater}': values for rater, values in pairs}
                drawn[f'{of.target}, label'] = of.fused.labels[name]
        rows.append(row)
        curves[name] = VideoCurves(drawn, times=video.times)
    panels = []
    for of in targets:
        lines = []
        for k, rater in enumerate(of.raters):
            color, dash, _ = look(k)
            shown = plot_text(rater)
            lines.append(Line(f'{of.target} of {rater}', shown, f'{of.target}, {shown}', color, 1.0, dash))
        name = f'{of.target}, label'
        label = Line(name, 'label', name, TARGETS[of.target], 2.6)
        panels.append(Panel(of.target, [*lines, label], (-1.05, 1.05), 260))
    table = Table('Videos, those with the least agreement first', columns, rows, sort=(3, False), keys=names)
    return CurveBrowser(table, curves, panels)


def _summary(of: Assessment, name: str) -> list[Any]:
    if name not in of.videos:
        return [None] * 4
    agreement = of.by_video.get(name)
    raters = len(of.videos[name].raters)
    if agreement is None or not agreement.panels:
        return [raters, None, None, None]
    panel = agreement.panels[0]
    least = min(found.ccc.value for found in agreement.raters.values() if found.ccc.value is not None)
    return [raters, panel.alpha.value, panel.icc.value, least]
