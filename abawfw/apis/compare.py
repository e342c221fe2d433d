"""Comparing tested runs, and the table of how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from abawfw.errors import ConfigError, DataError, counted, few
from abawfw.prediction_files import Predictions
from abawfw.results.agreement import differences
from abawfw.results.compared_score import level_text
from abawfw.results.comparison import Comparison, reading
from abawfw.results.report_table import aligned, interval_text, number_text
from abawfw.results.run import STAGES, Run

HEADER = (
    'run',
    'target',
    'baseline',
    'CCC',
    'difference',
    '{} interval',
    'p',
    'p swapped',
    'p corrected',
    '',
)


def compare(paths: Sequence[Path | str], stage: str = 'smoothed') -> Comparison:
    """Compare tested runs with the first of them.

    Args:
        paths: work_dirs, or folders of prediction files.
        stage: 'raw', 'clipped' or 'smoothed'.

    Raises:
        ConfigError: fewer than two runs, the same one twice, an unknown stage, or no common target.
        DataError: a run has no predictions, or runs differ in videos, frames or labels; all differences are
            listed.

    >>> comparison = compare(['work_dirs/run', 'work_dirs/other'])
    >>> [score.verdict for score in comparison.scores]  # of two videos; of more also 'better' or 'worse'
    ['no interval', 'no interval', 'no interval']
    """
    if stage not in STAGES:
        raise ConfigError(f'no stage {stage!r} of predictions; there are {", ".join(STAGES)}')
    runs = [Run(path).require_val() for path in paths]
    for a, b in combinations(runs, 2):
        if a.folder.resolve() == b.folder.resolve():
            raise ConfigError(f'{a.path} and {b.path} are the same run; name two different ones')
    problems = [line for run in runs for line in _targets_differ(run)]
    for target in runs[0].targets if runs else ():
        having = [run for run in runs if target in run.targets]
        files = [Predictions(run.predictions(target, stage), run.labels(target)) for run in having]
        problems += [f'{target}: {line}' for line in differences([str(run.path) for run in having], files)]
    if problems:
        raise DataError('these runs cannot be compared:\n  ' + '\n  '.join(problems))
    return Comparison(runs, stage)


def _targets_differ(run: Run) -> list[str]:
    """What of a run's targets cannot be taken together."""
    first, *others = [(target, set(run.predictions(target))) for target in run.targets]
    return [
        f'{run.path}: only one of {first[0]} and {target} has the videos {few(sorted(videos ^ first[1]))}; '
        'test the run again: python tools/test.py RUN'
        for target, videos in others
        if videos != first[1]
    ]


def comparison_text(comparison: Comparison) -> str:
    """The comparison as an aligned table, and how to read it."""
    level = level_text(comparison.level)
    lines: list[tuple[str, ...]] = [tuple(title.format(level) for title in HEADER)]
    for score in comparison.scores:
        d = score.difference
        lines.append(
            (
                score.run,
                score.target,
                f'{score.baseline_ccc:.4f}',
                f'{score.ccc:.4f}',
                f'{d.value:+.4f}',
                interval_text(d.low, d.high, '+.4f'),
                *map(number_text, (d.p_value, score.permutation, score.corrected)),
                score.verdict,
            )
        )
    text = aligned(lines, left=(0, 1, len(HEADER) - 1))
    frames = sum(m.n for m in comparison.moments[comparison.targets[0]][0])
    text += [
        '',
        f'baseline: {comparison.names[0]}; {comparison.stage} predictions, '
        f'{counted(len(comparison.videos), "video")}, {counted(frames, "labelled frame")}',
        f'drawn and swapped: {comparison.unit_text}',
    ]
    if any(score.p_value is not None for score in comparison.scores):
        text.append(reading(comparison))
    return '\n'.join([*text, *(f'note: {note}' for note in comparison.notes)])
