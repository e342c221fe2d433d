"""The videos of a comparison: what each makes of the difference, and its curves."""

from __future__ import annotations

from typing import Any

from abawfw.evaluation.comparison import Comparison
from abawfw.visualization.blocks import Column, CurveBrowser, Line, Panel, Table
from abawfw.visualization.comparison_page.looks import short_names
from abawfw.visualization.embed import plot_text
from abawfw.visualization.palette import LABEL, look
from abawfw.visualization.stored_curves import VideoCurves


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
            hint = f'the difference of {name} to the baseline less that without this video'
            columns.append(Column('makes', '+.4f', target, hint))
            parts.append(c.effects(k, target).tolist())
    rows = list(zip(*parts, strict=True))
    caption = f'Videos, sorted by what they make of the difference of {names[1]}; choose one to see it'
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
