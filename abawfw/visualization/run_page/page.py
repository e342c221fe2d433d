"""The sections of a run's page, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from abawfw.evaluation.functional import Moments
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Paragraph, SideBySide
from abawfw.visualization.page import Page
from abawfw.visualization.run_page.agreement import density_figure, error_figure, plane_figures
from abawfw.visualization.run_page.origin import origin_blocks
from abawfw.visualization.run_page.scores import calibration_table, scores_table
from abawfw.visualization.run_page.smoothing import smoothing_figure
from abawfw.visualization.run_page.training import training_blocks
from abawfw.visualization.run_page.videos import video_browser


def run_page(run: TestedRun) -> Page:
    """Everything that a tested run tells of itself on val.

    Raises:
        DataError: a prediction file is missing, damaged or holds a prediction that is not finite.
    """
    frames = {v: len(p) for t in run.targets for v, p in run.predictions(t).items()}
    measured = [t for t in run.targets if any(m.n for m in run.moments(t).values())]
    page = Page(run.name, _intro(run, frames, measured))
    without = [t for t in run.targets if t not in measured]
    missing: list[Block] = [
        Paragraph(f'No frame has a label of {t}: nothing is measured.', warning=True) for t in without
    ]
    missing += [Paragraph(f'{line[0].upper()}{line[1:]}.', warning=True) for line in run.doubts]
    page.section('Scores', *missing, *scores_table(run, measured), note=SCORES)
    page.section('Training', *training_blocks(run))
    if measured:
        page.section('Smoothing', *smoothing_figure(run, measured), note=SMOOTHING)
        above = SideBySide(*(density_figure(run, t) for t in measured))
        below = SideBySide(*(error_figure(run, t) for t in measured))
        page.section('Predictions and labels', above, below, note=AGREEMENT)
        page.section('Calibration', calibration_table(run, measured), note=CALIBRATION)
        page.section('Valence and arousal', *plane_figures(run), note=PLANE)
    page.section(
        'Videos', video_browser(run), note=VIDEOS if run.faces is not None else f'{VIDEOS} {NO_FACES}'
    )
    page.section('Origin', *origin_blocks(run))
    return page


def _intro(run: TestedRun, frames: Mapping[str, int], measured: Sequence[str]) -> str:
    text = f'{len(frames):,} validation video(s), {sum(frames.values()):,} frames.'
    scores = {t: Moments.pool(run.moments(t).values()).ccc for t in measured}
    said = ', '.join(f'{ccc:.3f} for {t}' for t, ccc in scores.items())
    mean = f', {fmean(scores.values()):.3f} in the mean' if len(scores) > 1 else ''
    return f'{text} CCC of the smoothed predictions: {said}{mean}.' if scores else text


SCORES = (
    'Over all labelled frames of val together. Intervals come from a bootstrap over videos: frames of a '
    'video depend on one another, so whole videos are drawn.'
)
SMOOTHING = (
    'CCC of the raw predictions after a mean over 2 w + 1 frames, clipped to [-1, 1]. A window that is '
    'chosen on these videos flatters the score on them.'
)
AGREEMENT = (
    'Smoothed predictions in all labelled frames. Above: how often a label goes with a prediction, darker '
    'for more frames; on the dotted line both are equal. Below: mean and standard deviation of the error in '
    'bins of the label. A line that falls is a model that stays near the middle.'
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
NO_FACES = 'Nothing tells in which frames a face was found.'
