"""The page of a run: scores, training, errors, curves of every video, and how it was made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import counted
from abawfw.evaluation.functional import Moments
from abawfw.results.run import CONFIG, Run
from abawfw.results.side_files import number
from abawfw.visualization.blocks import (
    Block,
    Column,
    CurveBrowser,
    Facts,
    Figure,
    Line,
    Panel,
    Paragraph,
    Preformatted,
    SideBySide,
    Table,
)
from abawfw.visualization.page import Page
from abawfw.visualization.palette import BANDS, FAINT, INK, LABEL, RAW, TARGET_MARKS, TARGETS
from abawfw.visualization.run_scores import (
    bounds_table,
    calibration_table,
    density_figure,
    error_figure,
    intervals_table,
    plane_figures,
    scores_note,
    scores_table,
    smoothing_figure,
)
from abawfw.visualization.stored_curves import VideoCurves

PARTS = (
    ('train_ccc_{}', '{}, train', 'dot'),
    ('val_ccc_{}_smoothed', '{}, val smoothed', 'dash'),
    ('val_ccc_{}', '{}, val raw', 'solid'),
)
LOSSES = (('loss', 'train', 'solid'), ('val_loss', 'val', 'dash'))


def training_blocks(run: Run) -> list[Block]:
    """Loss and CCC over the epochs."""
    if not run.epochs:
        return [Paragraph('The run has no metrics.csv with finished epochs.')]
    axis: dict[str, Any] = {'title': {'text': 'epoch'}}
    if len(run.epochs) < 12:
        axis['dtick'] = 1
    loss = [_line(run, key, name, INK, dash) for key, name, dash in LOSSES if key in run.epochs[-1]]
    scores = [
        _line(run, key.format(target), name.format(target), color, dash, TARGET_MARKS[target])
        for target, color in TARGETS.items()
        for key, name, dash in PARTS
        if key.format(target) in run.epochs[-1]
    ]
    best = run.summary.get('best')
    kept = [
        f'{name.removeprefix("ccc_")}: epoch {entry["epoch"]}'
        for name, entry in (best.items() if isinstance(best, dict) else ())
        if isinstance(entry, dict) and 'epoch' in entry and name != 'ccc'
    ]
    caption = f'The best checkpoints, by the raw CCC on val: {", ".join(kept)}.' if kept else ''
    look = {'xaxis': axis, 'showlegend': True}
    axes = [{**look, 'yaxis': {'title': {'text': name}}} for name in ('loss', 'CCC')]
    label = 'CCC over the epochs, on training and validation data'
    return [
        SideBySide(
            Figure({'data': loss, 'layout': axes[0]}, 'Loss over the epochs of training', title='Loss'),
            Figure({'data': scores, 'layout': axes[1]}, label, caption, title='CCC'),
        )
    ]


def _line(run: Run, key: str, name: str, color: str, dash: str, mark: str = 'circle') -> dict[str, Any]:
    x = [row.get('epoch', i) for i, row in enumerate(run.epochs, 1)]
    y = [row.get(key) for row in run.epochs]
    # one point alone has no line
    mode = 'lines+markers' if len(x) < 40 and (dash == 'solid' or len(x) == 1) else 'lines'
    look = {'mode': mode, 'line': {'color': color, 'dash': dash, 'width': 1.8}}
    return {'x': x, 'y': y, 'name': name, **look, 'marker': {'size': 6, 'color': color, 'symbol': mark}}


BOTH = 'all targets'


def video_browser(run: Run) -> CurveBrowser:
    """The table of the videos, and the curves of one of them."""
    videos = list(dict.fromkeys(v for t in run.targets for v in run.predictions(t)))
    panels = []
    for t in run.targets:
        # the same names in the legend and at the pointer, but for what looks the same in both targets
        raw, smoothed = f'{t} raw', f'{t} smoothed'
        lines = [Line(raw, raw, raw, RAW[t], 1.0), Line(smoothed, smoothed, smoothed, TARGETS[t], 1.8)]
        kept = run.intervals(t)
        if kept is not None and kept.found.reach is not None:
            name, ends = f'{t}, {kept.found.level} of frames', (f'{t} low', f'{t} high')
            low, high = (Line(end, name, end, BANDS[t], 0.0) for end in ends)
            lines = [low, high._replace(fill=BANDS[t]), *lines]
        lines.append(Line(f'{t} label', 'label', f'{t} label', LABEL, 1.6))
        panels.append(Panel(t, lines, (-1.05, 1.05)))
        residual = Line(f'{t} residual', 'residual', f'{t} residual', FAINT, 1.2)
        panels.append(Panel('residual', [residual], None, 100))
    curves = {v: _curves(run, v)._replace(times=run.times.get(v)) for v in videos}
    return CurveBrowser(videos_table(run, videos), curves, panels)


def videos_table(run: Run, videos: list[str]) -> Table:
    """Scores of each video, the largest error first."""
    columns = [Column('video'), Column('frames', ',')]
    if run.faces is not None:
        columns.append(Column('no face', '.1%', hint='fraction of the frames'))
    if len(run.targets) > 1:
        columns.append(Column('RMSE', '.3f', BOTH, 'root of the mean squared error over the targets'))
    for target in run.targets:
        columns += [
            Column('labelled', ',', target, 'frames with a label'),
            Column('CCC', '.3f', target),
            Column('PCC', '.3f', target),
            Column('RMSE', '.3f', target),
            Column('bias', '+.3f', target, 'mean of the predictions minus that of the labels'),
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


def _frames(run: Run, video: str) -> int:
    return next(len(run.predictions(t)[video]) for t in run.targets if video in run.predictions(t))


def _faces(run: Run, video: str) -> NDArray[np.bool_] | None:
    return None if run.faces is None else run.faces.get(video)


def _without_face(run: Run, video: str) -> float | None:
    faces = _faces(run, video)
    return None if faces is None or not len(faces) else float(1 - faces.mean())


def _curves(run: Run, video: str) -> VideoCurves:
    curves = {}
    for t in run.targets:
        if video in run.predictions(t):
            label, smoothed = run.labels(t)[video], run.predictions(t)[video]
            curves[f'{t} raw'] = run.predictions(t, 'raw')[video]
            curves[f'{t} smoothed'] = smoothed
            curves[f'{t} label'] = label
            curves[f'{t} residual'] = smoothed - label
            kept = run.intervals(t)
            if kept is not None and kept.found.reach is not None:
                curves[f'{t} low'], curves[f'{t} high'] = kept.found.limits(smoothed)
    faces = _faces(run, video)
    notes = [counted(_frames(run, video), 'frame')]
    if faces is not None and faces.all():
        notes.append('a face was found in every frame')
    elif faces is not None:
        notes.append(f'no face was found in {counted(len(faces) - int(faces.sum()), "frame")} (shaded)')
    return VideoCurves(curves, faces, tuple(notes))


def origin_blocks(run: Run) -> list[Block]:
    """Facts of summary.json, what the config changes in its bases, and the config itself."""
    return [*_facts(run), *_changes(run), _config(run)]


def _facts(run: Run) -> list[Block]:
    found = run.summary
    if not found:
        return [Paragraph('The run has no summary.json: how it was trained is unknown.')]
    epochs, versions, memory = (_dict(found.get(k)) for k in ('epochs', 'versions', 'peak_memory'))
    facts = {
        'status': found.get('status'),
        'epochs': f'{epochs.get("done")} of {epochs.get("planned")}' if epochs else None,
        'training and validation': _duration(found.get('seconds')),
        'frames per second in training': _number(found.get('frames_per_second')),
        'peak memory': _gigabytes(memory.get('process')),
        'peak memory of the GPU': _gigabytes(memory.get('gpu')),
        'device': found.get('device'),
        'processes': found.get('processes'),
        'seed': found.get('seed'),
        **versions,
        'post-processing': _post_processing(run),
        'SHA-256 of the config': found.get('config_sha256'),
        **_code_and_machine(found),
    }
    if 'cpu' in str(found.get('device')):
        del facts['peak memory of the GPU']
    return [Facts(facts)]


def _code_and_machine(found: dict[str, Any]) -> dict[str, str]:
    """Git commit, kind of machine and parameters, as training recorded them."""
    git, machine = _dict(found.get('git')), _dict(found.get('machine'))
    code, missing = 'not recorded', 'not recorded'
    if isinstance(git.get('commit'), str):
        code = f'{git["commit"]}{", with uncommitted changes" if git.get("dirty") else ""}'
    elif 'git' in found:
        code = 'none: the code was no git checkout'
    parameters, cores = _number(found.get('parameters')), _number(machine.get('cores'))
    gpus = machine.get('gpus')
    cuda = f', CUDA {machine["cuda"]}' if machine.get('cuda') and gpus else ''
    kinds = Counter(map(str, gpus)) if isinstance(gpus, list) else None
    return {
        'parameters': parameters or missing,
        'git commit of abawfw': code,
        'operating system': str(machine.get('os') or missing),
        'CPU': f'{machine["cpu"]}, {cores} core{"" if cores == "1" else "s"}'
        if machine.get('cpu') and cores
        else missing,
        'memory of the machine': _gigabytes(machine.get('memory')) or missing,
        'GPUs': missing
        if kinds is None
        else ', '.join(f'{n} x {name}' for name, n in kinds.items()) + cuda or 'none',
    }


def _post_processing(run: Run) -> str | None:
    steps = _dict(_dict(run.report.get('postprocess')).get('val'))
    said = [f'{target}: {", ".join(map(str, of))}' for target, of in steps.items() if isinstance(of, list)]
    windows = _dict(run.report.get('windows'))  # as older versions write it
    return '; '.join(said or [f'{target}: window {window}' for target, window in windows.items()]) or None


def _changes(run: Run) -> list[Block]:
    if 'config_changes' not in run.summary:
        return [Paragraph('What the config changes in its bases is unknown: the run is of an older version.')]
    changes = run.summary['config_changes']
    if not isinstance(changes, dict):
        return [Paragraph('The run was started from a complete config: there is no base to compare it with.')]
    return [
        Preformatted(title, '\n'.join(map(str, lines)) or 'nothing', opened=True)
        if isinstance(lines := changes.get(key), list)
        else Paragraph(f'{title} is unknown: without the file, its bases are no complete config.')
        for key, title in (
            ('file', 'What the config file changes in its bases'),
            ('command', 'What the command line changed in the config file'),
        )
    ]


def _config(run: Run) -> Block:
    path = run.path / CONFIG
    if not path.is_file():
        return Paragraph('The run has no config.py.')
    return Preformatted('The complete config', path.read_text(encoding='utf-8', errors='replace'))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> str | None:
    found = number(value)
    return None if found is None else f'{found:,.0f}'


def _gigabytes(value: Any) -> str | None:
    found = number(value)
    return None if found is None else f'{found / 1e9:.2f} GB'


def _duration(value: Any) -> str | None:
    found = number(value)
    if found is None:
        return None
    minutes, seconds = divmod(found, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {seconds:.0f} s' if minutes else f'{seconds:.1f} s'


def run_page(run: Run) -> Page:
    """Everything known of a tested run on val.

    Raises:
        DataError: a prediction file is missing, damaged or holds a prediction that is not finite.
    """
    frames = {v: len(p) for t in run.targets for v, p in run.predictions(t).items()}
    measured = [t for t in run.targets if any(m.n for m in run.moments(t).values())]
    page = Page(run.name, _intro(run, frames, measured))
    without = [t for t in run.targets if t not in measured]
    missing: list[Block] = [
        Paragraph(f'No frame has a label of {t}: it has no scores.', warning=True) for t in without
    ]
    missing += [Paragraph(f'{line[0].upper()}{line[1:]}.', warning=True) for line in run.doubts]
    page.section(
        'Scores',
        *missing,
        *scores_table(run, measured),
        *bounds_table(run, measured),
        note=scores_note(run, measured),
    )
    if sure := intervals_table(run):
        page.section('Intervals', *sure, note=INTERVALS)
    page.section('Training', *training_blocks(run))
    if measured:
        page.section('Smoothing', *smoothing_figure(run, measured), note=SMOOTHING)
        above = SideBySide(*(density_figure(run, t) for t in measured))
        below = SideBySide(*(error_figure(run, t) for t in measured))
        page.section('Predictions and labels', above, below, note=AGREEMENT)
        page.section('Calibration', calibration_table(run, measured), note=CALIBRATION)
        page.section('Valence and arousal', *plane_figures(run), note=PLANE)
    page.section('Videos', video_browser(run), note=VIDEOS)
    page.section('Origin', *origin_blocks(run))
    return page


def _intro(run: Run, frames: Mapping[str, int], measured: Sequence[str]) -> str:
    text = f'{counted(len(frames), "validation video")}, {counted(sum(frames.values()), "frame")}.'
    scores = {t: Moments.pool(run.moments(t).values()).ccc for t in measured}
    said = ', '.join(f'{ccc:.3f} for {t}' for t, ccc in scores.items())
    mean = f', {fmean(scores.values()):.3f} on average' if len(scores) > 1 else ''
    return f'{text} CCC of the smoothed predictions: {said}{mean}.' if scores else text


INTERVALS = (
    'How far a frame of another video of the same kind may be off: so many of its labelled frames lie, on '
    'average over videos, within the band around the smoothed curve, which is drawn with the curves below. '
    'Cross-validated: each unit within the intervals of all others. Nothing is said for other data, nor for '
    'labels of other people.'
)
SMOOTHING = (
    'CCC of the raw predictions after a mean over 2 w + 1 frames, clipped to [-1, 1]. A window that is '
    'chosen on these videos overstates the score on them.'
)
AGREEMENT = (
    'Smoothed predictions in all labelled frames. Above: how often a label goes with a prediction, darker '
    'for more frames; on the dotted line both are equal. Below: mean and standard deviation of the error in '
    'bins of the label. A falling line means that the model stays near the middle.'
)
CALIBRATION = (
    'CCC is the PCC times a factor for mean and spread (Lin 1989). The last column is the CCC that a rising '
    'straight line fitted on these labels would give the predictions, the PCC where that is positive: an '
    'upper bound, not a result.'
)
PLANE = 'Frames that have a label of both targets, darker for more frames.'
VIDEOS = (
    'Smoothed predictions, the largest error first. Choose a row, by click or with the arrow keys and '
    'Enter, to see its curves below; drag across the curves to zoom, double-click to see all. CCC and PCC '
    'are not defined where labels or predictions do not vary.'
)
