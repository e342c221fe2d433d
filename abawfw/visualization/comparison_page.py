"""The page that compares runs: scores, differences, videos, their ensemble, and configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abawfw.errors import counted
from abawfw.evaluation.functional import Moments
from abawfw.results.compared_score import MEAN, level_text
from abawfw.results.comparison import Comparison, reading
from abawfw.results.side_files import number
from abawfw.visualization.blocks import (
    Block,
    Column,
    CurveBrowser,
    Figure,
    Line,
    Panel,
    Paragraph,
    Preformatted,
    SideBySide,
    Table,
)
from abawfw.visualization.embed import plot_text
from abawfw.visualization.page import Page
from abawfw.visualization.palette import FAINT, LABEL, SERIES, TARGET_MARKS, TARGETS, look
from abawfw.visualization.stored_curves import VideoCurves

LONGEST = 28  # characters of a name beside a figure: half of a telephone's width, which the figure needs


def short_names(names: Sequence[str]) -> list[str]:
    """The names, the middle of long ones omitted; numbered where these would be the same."""
    short = [_short(name, LONGEST) for name in names]
    return [
        f'{k + 1}: {_short(name, LONGEST - 4)}' if short.count(short[k]) > 1 else short[k]
        for k, name in enumerate(names)
    ]


def _short(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    head = (longest - 1) // 2
    return f'{name[:head]}…{name[len(name) - (longest - 1 - head) :]}'


def scores_table(comparison: Comparison) -> Table:
    """Scores of every run over all frames, and how long it was trained."""
    c = comparison
    columns = [Column('run')]
    for target in c.targets:
        columns += [Column(title, '.4f', target) for title in ('CCC', 'low', 'high', 'PCC', 'RMSE')]
    if len(c.targets) > 1:
        columns.append(Column('CCC', '.4f', MEAN))
    columns += [Column('epochs', ',', 'run'), Column('seed', '.0f', 'run'), Column('seconds', ',.0f', 'run')]
    rows = []
    for k, (name, run) in enumerate(zip(short_names(c.names), c.runs, strict=True)):
        row: list[Any] = [name]
        for target in c.targets:
            pooled = Moments.pool(c.moments[target][k])
            interval = c.intervals[target][k]
            row += [pooled.ccc, interval.low, interval.high, pooled.pcc, pooled.rmse]
        if len(c.targets) > 1:
            row.append(c.ccc(k, MEAN))
        epochs = run.summary.get('epochs')
        done = epochs.get('done') if isinstance(epochs, dict) else None
        row += [number(value) for value in (done, run.summary.get('seed'), run.summary.get('seconds'))]
        rows.append(row)
    return Table(f'Scores of each run; low and high: 95 % interval over {c.unit}s', columns, rows)


def differences_table(comparison: Comparison) -> Table:
    """Every run minus the baseline, with intervals, p-values and verdict."""
    columns = [
        Column('run'),
        Column('target'),
        Column('difference', '+.4f', hint='CCC of the run minus CCC of the baseline'),
        Column('low', '+.4f'),
        Column('high', '+.4f'),
        Column('p', '.4f', hint=f'paired bootstrap over {comparison.unit}s'),
        Column('p swapped', '.4f', hint=f'runs exchanged within {comparison.unit}s at random'),
        Column('p corrected', '.4f', hint=f'the larger of both times {comparison.comparisons}, 1 at most'),
        Column('verdict'),
    ]
    short = dict(zip(comparison.names, short_names(comparison.names), strict=True))
    rows = [
        [
            *(short[s.run], s.target, s.difference.value, s.difference.low, s.difference.high),
            *(s.difference.p_value, s.permutation, s.corrected, s.verdict),
        ]
        for s in comparison.scores
    ]
    level = level_text(comparison.level)
    return Table(f'CCC of each run minus that of the baseline; low and high: {level} interval', columns, rows)


def ensemble_table(rule: str, rows: Sequence[Sequence[Any]]) -> Table:
    """What each run adds to an ensemble; see ``ComparisonPage`` for the rows."""
    together = rows[0][3]
    reached = 'cannot be measured on one video or group' if together is None else f'CCC {together:.4f}'
    columns = [
        Column('run'),
        Column('alone', '.4f', hint='CCC of the run alone'),
        Column('weight', '.3f'),
        Column('without', '.4f', hint='CCC of the ensemble of the others, with new weights'),
        Column('adds', '+.4f', hint='CCC of the ensemble minus CCC without the run'),
        Column('errors', '.2f', hint='mean correlation of its errors with those of the others'),
    ]
    names = short_names([row[0] for row in rows])
    values = [[name, *row[1:3], *row[4:]] for name, row in zip(names, rows, strict=True)]
    return Table(f'Weights by rule {rule}: {reached}', columns, values)


APART = {'scattermode': 'group', 'scattergap': 0.4}


def scores_figure(comparison: Comparison) -> Figure:
    """CCC of every run with its interval, a colour for each target."""
    data = []
    for target in comparison.targets:
        pooled = [comparison.ccc(k, target) for k in range(len(comparison.runs))]
        intervals = zip(comparison.intervals[target], pooled, strict=True)
        ends = [(ccc, ccc) if i.low is None or i.high is None else (i.low, i.high) for i, ccc in intervals]
        above = [high - ccc for (_, high), ccc in zip(ends, pooled, strict=True)]
        below = [ccc - low for (low, _), ccc in zip(ends, pooled, strict=True)]
        data.append(_dots(target, pooled, comparison.names, (above, below)))
    axis = _names_axis(comparison.names, comparison.names)
    layout = {'xaxis': {'title': {'text': 'CCC'}}, 'yaxis': axis, **APART}
    return Figure(
        {'data': data, 'layout': layout},
        'CCC of each run and target, with 95 % intervals',
        f'Dots are CCCs over all frames, lines 95 % intervals over {comparison.unit}s. Runs can '
        'differ although their intervals overlap, since the videos are the same: see the differences.',
        height=130 + 46 * len(comparison.names),
    )


def differences_figure(comparison: Comparison) -> Figure:
    """Differences to the baseline with their intervals."""
    data = []
    for target in dict.fromkeys(score.target for score in comparison.scores):
        scores = [s for s in comparison.scores if s.target == target]
        values = [s.difference.value for s in scores]
        above = [0.0 if d.high is None else d.high - d.value for d in (s.difference for s in scores)]
        below = [0.0 if d.low is None else d.value - d.low for d in (s.difference for s in scores)]
        data.append(_dots(target, values, [s.run for s in scores], (above, below)))
    zero = {
        'type': 'line',
        'x0': 0,
        'x1': 0,
        'y0': 0,
        'y1': 1,
        'yref': 'paper',
        'line': {'color': FAINT, 'width': 1},
    }
    axis = {'title': {'text': f'CCC minus that of {plot_text(short_names(comparison.names)[0])}'}}
    names = _names_axis(comparison.names, comparison.names[1:])
    layout = {'xaxis': axis, 'yaxis': names, 'shapes': [zero], **APART}
    return Figure(
        {'data': data, 'layout': layout},
        f'Difference of each run to the baseline, with {level_text(comparison.level)} intervals',
        'A run is better where its interval lies right of the line, worse where it lies left of it. Where it '
        'crosses or touches the line, the difference is not significant.',
        height=150 + 46 * (len(comparison.names) - 1),
    )


def videos_figure(comparison: Comparison, target: str) -> Figure:
    """Every video's own CCC in the baseline and in the other runs."""
    names = [plot_text(name) for name in short_names(comparison.names)]
    data = []
    for k, name in enumerate(comparison.names[1:], start=1):
        color, _, mark = look(k)
        points = [
            (plot_text(video), a.ccc, b.ccc, a.n)
            for video, a, b in zip(
                comparison.videos, comparison.moments[target][0], comparison.moments[target][k], strict=True
            )
            if a.own_ccc is not None and b.own_ccc is not None
        ]
        data.append(
            {
                'type': 'scatter',
                'mode': 'markers',
                'name': names[k],
                'x': [p[1] for p in points],
                'y': [p[2] for p in points],
                'text': [f'{video}, {counted(n, "frame")}' for video, *_, n in points],
                'meta': _whole(name),
                'hovertemplate': '%{text}<br>%{x:.3f} and %{y:.3f}<br>%{meta}<extra></extra>',
                'marker': {'color': color, 'symbol': mark, 'size': 8, 'opacity': 0.75},
            }
        )
    diagonal = {
        'type': 'line',
        'x0': -1,
        'x1': 1,
        'y0': -1,
        'y1': 1,
        'line': {'color': FAINT, 'width': 1, 'dash': 'dot'},
    }
    layout = {
        'xaxis': {'title': {'text': names[0]}, 'range': [-1.02, 1.02]},
        'yaxis': {'title': {'text': 'the other run'}, 'range': [-1.02, 1.02]},
        'shapes': [diagonal],
        'showlegend': len(data) > 1,
    }
    return Figure(
        {'data': data, 'layout': layout},
        f'Own CCC of each video in {target}: baseline against the other runs',
        height=390,
        title=target,
    )


def _dots(
    name: str,
    values: Sequence[float],
    runs: Sequence[str],
    reach: tuple[Sequence[float], Sequence[float]],
) -> dict[str, Any]:
    """A dot per run, with what it reaches above and below."""
    above, below = reach
    texts = [
        f'{_whole(run)}<br>{value:.4f}' + (f', {value - down:.4f} to {value + up:.4f}' if up or down else '')
        for run, value, up, down in zip(runs, values, above, below, strict=True)
    ]
    return {
        'type': 'scatter',
        'mode': 'markers',
        'name': name,
        'x': values,
        'y': [plot_text(run) for run in runs],
        'text': texts,
        'hovertemplate': '%{text}',
        'marker': {'color': TARGETS.get(name, FAINT), 'size': 9, 'symbol': TARGET_MARKS.get(name, 'square')},
        'error_x': {'type': 'data', 'array': above, 'arrayminus': below, 'thickness': 1.5, 'width': 5},
        # a line of its own for each target beside the name of a run
        'orientation': 'h',
        'offsetgroup': name,
    }


def _whole(name: str) -> str:
    """A name in full, broken into lines for a box that is shown under the pointer."""
    return '<br>'.join(plot_text(name[i : i + 60]) for i in range(0, len(name), 60))


def _names_axis(names: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    """An axis of those runs that are shown, with names that leave room for the figure."""
    short = dict(zip(names, short_names(names), strict=True))
    return {
        'autorange': 'reversed',
        'type': 'category',
        'tickmode': 'array',
        'tickvals': [plot_text(name) for name in shown],
        'ticktext': [plot_text(short[name]) for name in shown],
    }


def video_browser(comparison: Comparison) -> CurveBrowser:
    """Table of the videos, and label and prediction of every run of the one that is chosen."""
    return CurveBrowser(_table(comparison), _curves(comparison), _panels(comparison))


def _table(c: Comparison) -> Table:
    names = short_names(c.names)
    columns = [Column('video'), Column('frames', ',')]
    preds = c.runs[0].predictions(c.targets[0], c.stage)
    parts: list[list[Any]] = [list(c.videos), [len(preds[video]) for video in c.videos]]
    for target in c.targets:
        columns.append(Column(names[0], '.3f', target, f'own CCC in the baseline, {c.names[0]}'))
        parts.append([m.own_ccc for m in c.moments[target][0]])
        for k, name in enumerate(c.names[1:], start=1):
            columns.append(Column(names[k], '.3f', target, f'own CCC in {name}'))
            parts.append([m.own_ccc for m in c.moments[target][k]])
            hint = f'the difference of {name} to the baseline minus that without this video'
            title = 'part' if len(names) == 2 else f'part of {names[k]}'
            columns.append(Column(title, '+.4f', target, hint))
            parts.append(c.effects(k, target).tolist())
    rows = list(zip(*parts, strict=True))
    caption = f'Videos, sorted by their part of the difference of {names[1]}; choose one to see it'
    return Table(caption, columns, rows, sort=(4, True), keys=c.videos)


def _curves(c: Comparison) -> dict[str, VideoCurves]:
    found = {}
    for video in c.videos:
        curves = {f'label {target}': c.runs[0].labels(target)[video] for target in c.targets}
        for k, run in enumerate(c.runs):
            curves |= {f'{k} {target}': run.predictions(target, c.stage)[video] for target in c.targets}
        faces = next((run.faces[video] for run in c.runs if run.faces and video in run.faces), None)
        times = next((run.times[video] for run in c.runs if video in run.times), None)
        found[video] = VideoCurves(curves, faces, times=times)
    return found


def _panels(c: Comparison) -> list[Panel]:
    panels = []
    for target in c.targets:
        lines = []
        for k, name in enumerate(short_names(c.names)):
            color, dash, mark = look(k)
            shown = plot_text(name)
            mark = mark if k else ''  # the first is the plain line
            lines.append(Line(f'{k} {target}', shown, f'{target}, {shown}', color, dash=dash, mark=mark))
        lines.append(Line(f'label {target}', 'label', f'{target}, label', LABEL, 1.6))
        panels.append(Panel(target, lines, (-1.05, 1.05), 220))
    return panels


NAMED = 4  # runs that have room in the title
VIDEOS = (
    "A video's own CCC says how well its course is predicted; its part of the difference is the "
    'difference over all frames minus that without the video.'
)
AGAIN = (
    f'There are {len(SERIES)} colours: from run {len(SERIES) + 1} on they are repeated, with other dashes '
    'and marks.'
)
ENSEMBLE = (
    'Rules that look at labels are measured on videos that, like all of their groups, were not used '
    'to find the weights. A run can be weak and add much, if its errors differ from those of the others.'
)


class ComparisonPage:
    """Runs side by side: scores, differences, videos, and what each adds to an ensemble of all.

    Args:
        comparison: the runs.
        ensembles: for each target, by rule of weights, what each run adds: rows of run, CCC alone, weight,
            CCC together, CCC without it, what it adds, and correlation of its errors with those of others; or
            a text that says why the rule finds no weights.
        changes: for each run but the first, lines that say what its config changes; None where a config
            cannot be read.
    """

    def __init__(
        self,
        comparison: Comparison,
        ensembles: Mapping[str, Mapping[str, Sequence[Sequence[Any]] | str]],
        changes: Mapping[str, Sequence[str] | None],
    ) -> None:
        self.comparison = comparison
        self.ensembles = ensembles
        self.changes = changes

    def page(self) -> Page:
        """The page, to be rendered or written."""
        c = self.comparison
        frames = sum(m.n for m in c.moments[c.targets[0]][0])
        few = len(c.names) <= NAMED
        page = Page(
            f'Comparison of {", ".join(short_names(c.names)) if few else f"{len(c.names)} runs"}',
            f'{c.stage.capitalize()} predictions of {counted(len(c.videos), "video")}, '
            f'{counted(frames, "labelled frame")}. The baseline is {c.names[0]}.',
        )
        scores = f'Over all frames of all videos. Intervals: bootstrap over {c.unit_text}.'
        missing = [Paragraph(sentence(text), warning=True) for text in c.missing_intervals]
        page.section('Scores', *missing, scores_table(c), scores_figure(c), note=scores)
        warnings = [Paragraph(sentence(note), warning=True) for note in c.notes]
        note = ' '.join(
            sentence(line) for line in (*reading(c).splitlines(), f'drawn and swapped are {c.unit_text}')
        )
        differences = [*warnings, differences_table(c), differences_figure(c)]
        page.section('Differences to the baseline', *differences, note=note)
        scatter = SideBySide(*(videos_figure(c, target) for target in c.targets))
        note = f'{VIDEOS} {AGAIN}' if len(c.runs) > len(SERIES) else VIDEOS
        page.section('Video by video', scatter, video_browser(c), note=note)
        for target, by_rule in self.ensembles.items():
            blocks = [
                Paragraph(found) if isinstance(found, str) else ensemble_table(rule, found)
                for rule, found in by_rule.items()
            ]
            page.section(f'Ensemble of all, {target}', SideBySide(*blocks), note=ENSEMBLE)
        configs = map(self._config, c.names[1:])
        page.section('Configs', *configs, note='What each run changes in the baseline.')
        return page

    def _config(self, name: str) -> Block:
        lines = self.changes[name]
        if lines is None:
            return Paragraph(f'{name}: the config of this run or of the baseline cannot be read.')
        if not lines:
            return Paragraph(f'{name}: the same config.')
        differ = f'{counted(len(lines), "value")} differ{"s" if len(lines) == 1 else ""}'
        return Preformatted(f'{name}: {differ}', '\n'.join(lines), opened=True)


def sentence(text: str) -> str:
    """A note as a sentence of its own."""
    return f'{text[:1].upper()}{text[1:]}.'
