"""The videos of val one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import counted
from abawfw.evaluation.functional import Moments
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Column, CurveBrowser, Line, Panel, Table
from abawfw.visualization.palette import FAINT, LABEL, RAW, TARGETS
from abawfw.visualization.stored_curves import VideoCurves

BOTH = 'all targets'


def video_browser(run: TestedRun) -> CurveBrowser:
    """The table of the videos, and the curves of one of them."""
    videos = list(dict.fromkeys(v for t in run.targets for v in run.predictions(t)))
    panels = []
    for t in run.targets:
        # the same names in the legend and at the pointer, but for what looks the same in both targets
        raw, smoothed = f'{t} raw', f'{t} smoothed'
        lines = [Line(raw, raw, raw, RAW[t], 1.0), Line(smoothed, smoothed, smoothed, TARGETS[t], 1.8)]
        lines.append(Line(f'{t} label', 'label', f'{t} label', LABEL, 1.6))
        panels.append(Panel(t, lines, (-1.05, 1.05)))
        residual = Line(f'{t} residual', 'residual', f'{t} residual', FAINT, 1.2)
        panels.append(Panel('residual', [residual], None, 100))
    curves = {v: _curves(run, v)._replace(times=run.times.get(v)) for v in videos}
    return CurveBrowser(videos_table(run, videos), curves, panels)


def videos_table(run: TestedRun, videos: list[str]) -> Table:
    """Scores of each video, the largest error first."""
    columns = [Column('video'), Column('frames', ',')]
    if run.faces is not None:
        columns.append(Column('no face', '.1%', hint='share of the frames'))
    if len(run.targets) > 1:
        columns.append(Column('RMSE', '.3f', BOTH, 'root of the mean squared error over the targets'))
    for target in run.targets:
        columns += [
            Column('labelled', ',', target, 'frames with a label'),
            Column('CCC', '.3f', target),
            Column('PCC', '.3f', target),
            Column('RMSE', '.3f', target),
            Column('bias', '+.3f', target, 'mean of the predictions less that of the labels'),
        ]
    statistics = [run.moments(target) for target in run.targets]
    rows = []
    for video in videos:
        parts = [of.get(video, Moments()) for of in statistics]
        row: list[Any] = [video, _frames(run, video)]
        if run.faces is not None:
            row.append(_without_face(run, video))
        if len(parts) > 1:
            errors = [part.mse for part in parts if part.n]
            row.append(math.sqrt(sum(errors) / len(errors)) if errors else None)
        for part in parts:
            row += _scores(part)
        rows.append(row)
    by = next(i for i, column in enumerate(columns) if column.title == 'RMSE')
    return Table('Videos of val', columns, rows, sort=(by, True), keys=videos)


def _scores(part: Moments) -> list[Any]:
    if not part.n:
        return [0, None, None, None, None]
    pcc = None if part.constant else part.pcc
    return [part.n, part.own_ccc, pcc, part.rmse, part.mean_pred - part.mean_true]


def _frames(run: TestedRun, video: str) -> int:
    return next(len(run.predictions(t)[video]) for t in run.targets if video in run.predictions(t))


def _faces(run: TestedRun, video: str) -> NDArray[np.bool_] | None:
    return None if run.faces is None else run.faces.get(video)


def _without_face(run: TestedRun, video: str) -> float | None:
    faces = _faces(run, video)
    return None if faces is None or not len(faces) else float(1 - faces.mean())


def _curves(run: TestedRun, video: str) -> VideoCurves:
    curves = {}
    for t in run.targets:
        if video in run.predictions(t):
            label, smoothed = run.labels(t)[video], run.predictions(t)[video]
            curves[f'{t} raw'] = run.predictions(t, 'raw')[video]
            curves[f'{t} smoothed'] = smoothed
            curves[f'{t} label'] = label
            curves[f'{t} residual'] = smoothed - label
    faces = _faces(run, video)
    notes = [counted(_frames(run, video), 'frame')]
    if faces is not None and faces.all():
        notes.append('a face was found in every frame')
    elif faces is not None:
        notes.append(f'no face was found in {counted(len(faces) - int(faces.sum()), "frame")} (shaded)')
    return VideoCurves(curves, faces, tuple(notes))
