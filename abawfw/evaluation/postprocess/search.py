"""The post-processing that suits the labels of val best, and what it is worth on other videos."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from abawfw.errors import ConfigError, DataError, nearest
from abawfw.evaluation.functional import Moments, calibration, moments
from abawfw.evaluation.postprocess.base import SLOTS, Postprocessor
from abawfw.evaluation.postprocess.pipeline import Pipeline
from abawfw.groups import Groups
from abawfw.registry import POSTPROCESSORS

FOLDS = 10  # of the nested cross-validation, or as many as there are labelled videos, or groups of them


class Tuned(NamedTuple):
    """What was chosen.

    Attributes:
        pipeline: chosen and fitted on all videos; its CCC on them is no estimate for others.
        left_out: clipped predictions of each labelled video by what was chosen and fitted without it; empty
            where there is one labelled video, or one group of them.
        folds: what each fold of these chose, before fitting.
    """

    pipeline: Pipeline
    left_out: dict[str, np.ndarray]
    folds: list[Pipeline]


def candidates(names: Sequence[str]) -> list[Pipeline]:
    """Every pipeline that a search over these components tries.

    Components of the same slot (all kernels that smooth) are alternatives, each with its grid; different
    slots follow one another: gaps, smoothing, calibration.

    Raises:
        ConfigError: there is no such component, or it has no grid or no slot; all of them are named.
    """
    POSTPROCESSORS.import_from_location()
    known = POSTPROCESSORS.module_dict
    if problems := [f'--search {name}: {text}' for name in dict.fromkeys(names) if (text := _problem(name))]:
        raise ConfigError('\n'.join(problems))
    slots: dict[str, list[Postprocessor]] = {}
    for name in dict.fromkeys(names):
        slots.setdefault(known[name].slot, []).extend(
            known[name](**arguments) for arguments in known[name].grid
        )
    return [Pipeline(steps) for steps in itertools.product(*(slots[slot] for slot in SLOTS if slot in slots))]


def _problem(name: str) -> str | None:
    """Why a component cannot be searched over."""
    known = POSTPROCESSORS.module_dict
    if name not in known:
        return f'no postprocessor is called so: {nearest(name, known)}'
    if not known[name].grid:
        return 'it has no grid of arguments to try'
    if known[name].slot not in SLOTS:
        return f'its slot {known[name].slot!r} is none of {", ".join(SLOTS)}'
    return None


def tune(
    tried: Sequence[Pipeline],
    preds: Mapping[str, Any],
    labels: Mapping[str, Any],
    faces: Mapping[str, Any] | None = None,
    groups: Groups | None = None,
) -> Tuned:
    """Choose and fit on all videos, and again on all but each fold of them.

    Folds never part a group of videos. The CCC over all frames decides, before clipping as in the reference;
    of equally good ones, the first. Statistics of each video and candidate are computed once, and serve all
    folds.

    Args:
        tried: the candidates; what is to be fitted in one of several stands last.
        preds: raw predictions, (frames,) by video.
        labels: (frames,) by video, NaN where there is none.
        faces: where a face was found, (frames,) bool or None by video.
        groups: of the videos, as far as they are known.

    Raises:
        DataError: no frame has a label, or no face is known for a step that needs them.
    """
    frames = {video: n for video in preds if (n := int(np.isfinite(labels[video]).sum()))}
    if not frames:
        raise DataError('no frame of val has a label: there is nothing to choose or fit post-processing on')
    # longest first, dealt one by one: folds of about the same number of frames
    units = sorted((groups or Groups()).units(frames), key=lambda unit: -sum(frames[v] for v in unit))
    count = min(FOLDS, len(units))
    folds = [[video for unit in units[k::count] for video in unit] for k in range(count)]
    order = [video for unit in units for video in unit]
    sums = [_sums(candidate, folds, preds, labels, faces) for candidate in tried] if len(tried) > 1 else [[]]
    left_out: dict[str, np.ndarray] = {}
    chosen = []
    for k, fold in enumerate(folds if count > 1 else []):
        best = _best(tried, [[*of[:k], *of[k + 1 :]] for of in sums])
        others = {video: preds[video] for video in order if video not in fold}
        left_out |= best.fit(others, labels, faces).videos({video: preds[video] for video in fold}, faces)
        chosen.append(best)
    best = _best(tried, sums).fit({video: preds[video] for video in order}, labels, faces)
    return Tuned(best, left_out, chosen)


def _sums(
    candidate: Pipeline,
    folds: Sequence[Sequence[str]],
    preds: Mapping[str, Any],
    labels: Mapping[str, Any],
    faces: Mapping[str, Any] | None,
) -> list[Moments]:
    """Statistics of each fold, before what is to be fitted."""
    fixed = Pipeline([step for step in candidate.steps if step.fitted])
    found = []
    for fold in folds:
        done = fixed.videos({video: preds[video] for video in fold}, faces, clip=False)
        found.append(Moments.pool(moments(labels[video], x) for video, x in done.items()))
    return found


def _best(tried: Sequence[Pipeline], sums: Sequence[Sequence[Moments]]) -> Pipeline:
    if len(tried) == 1:
        return tried[0]
    pooled = [Moments.pool(of) for of in sums]
    scores = [m.ccc if c.fitted else calibration(m).ccc for m, c in zip(pooled, tried, strict=True)]
    return tried[int(np.argmax(scores))]
