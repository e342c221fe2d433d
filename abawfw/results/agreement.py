"""Whether runs predicted the same frames of the same videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.errors import DataError, few
from abawfw.groups import Groups
from abawfw.prediction_files import Predictions


def same_videos(runs: Sequence[Predictions | None]) -> list[list[int]]:
    """Sort runs by their videos, as the folds of a cross-validation differ in them.

    Args:
        runs: their predictions; None is in no group.

    Returns:
        Groups of indices, the runs of each with the same videos and no two groups with a common video; one
        group of all where sets overlap, so that ``differences`` lists how.
    """
    groups: dict[frozenset[str], list[int]] = {}
    for i, run in enumerate(runs):
        if run is not None:
            groups.setdefault(frozenset(run.preds), []).append(i)
    if len(frozenset().union(*groups)) == sum(map(len, groups)):
        return list(groups.values())
    return [[i for group in groups.values() for i in group]]


def differences(names: Sequence[str], runs: Sequence[Predictions]) -> list[str]:
    """What differs between the first run and each other one: videos, numbers of frames, labels.

    Args:
        names: of the runs, for the text.
        runs: their predictions of one target and partition.

    Returns:
        One line per kind of difference and pair of runs; empty if all agree.
    """
    lines: list[str] = []
    if not runs:
        return lines
    first = runs[0]
    for name, run in zip(names[1:], runs[1:], strict=True):
        pair = f'{names[0]} and {name}'
        lines += _line(f'only {names[0]} has the videos', [v for v in first.preds if v not in run.preds])
        lines += _line(f'only {name} has the videos', [v for v in run.preds if v not in first.preds])
        both = [v for v in first.preds if v in run.preds]
        frames = {v: (len(first.preds[v]), len(run.preds[v])) for v in both}
        unequal = [f'{v} ({a} and {b})' for v, (a, b) in frames.items() if a != b]
        lines += _line(f'{pair} differ in the number of frames of', unequal)
        if (first.labels is None) != (run.labels is None):
            lines.append(
                f'{names[0] if run.labels is None else name} has labels, the other of {pair} has none'
            )
        elif first.labels is not None and run.labels is not None:
            a, b = first.labels, run.labels
            same = [v for v in both if frames[v][0] == frames[v][1]]
            other = [v for v in same if not np.allclose(a[v], b[v], rtol=0, atol=1e-6, equal_nan=True)]
            lines += _line(f'{pair} differ in the labels of', other)
    return lines


def common_groups(names: Sequence[str], found: Sequence[Groups]) -> Groups:
    """The groups of videos that runs know, together.

    Args:
        names: of the runs, for the text.
        found: what each of them knows.

    Raises:
        DataError: two runs have other groups of a video.
    """
    whole: dict[str, str] = {}
    by: dict[str, str] = {}
    for name, groups in zip(names, found, strict=True):
        for video, group in groups.of.items():
            if whole.setdefault(video, group) != group:
                raise DataError(
                    f'{by[video]} and {name} differ in the groups of videos: {video} is of '
                    f'{whole[video]} and of '
                    f'{group}; test both on the same data: python tools/test.py RUN'
                )
            by.setdefault(video, name)
    return Groups(whole)


def _line(text: str, items: Sequence[str]) -> list[str]:
    return [f'{text} {few(items)}'] if items else []
