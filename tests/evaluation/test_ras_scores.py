"""From predictions to scores as team RAS has it: windows to frames, smoothing, and both of its CCCs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abawfw.evaluation.functional import CLIP_WEIGHTS, assemble, ccc
from abawfw.evaluation.postprocess import ReplicatedSmoothing

Arrays = dict[str, np.ndarray]
LENGTHS = {'a': 30, 'b': 20}
# By video, the parts that windows cover: first frame, frame behind the last, {first frame: window}.
COVERED = {'a': [(0, 12, {0: 0, 4: 1}), (17, 25, {17: 2})], 'b': [(0, 14, {0: 3, 6: 4})]}
WIDTHS = (1, 2)  # frames on one side for its 3 of valence and 5 of arousal


def read(golden_2025: Path, name: str) -> Arrays:
    with np.load(golden_2025 / f'ras/{name}.npz') as arrays:
        return {k: v.astype(float) if v.dtype == np.float32 else v for k, v in arrays.items()}


def frames_of(arrays: Arrays, video: str, weights: str) -> list[tuple[slice, np.ndarray]]:
    """Each covered part of a video, and the weighted mean over its windows."""
    return [
        (
            slice(start, stop),
            assemble(
                [(first - start, arrays['window_preds'][i]) for first, i in windows.items()],
                stop - start,
                video,
                CLIP_WEIGHTS[weights],
            ),
        )
        for start, stop, windows in COVERED[video]
    ]


def carried_on(arrays: Arrays, video: str, weights: str) -> np.ndarray:
    """The same over all frames: what no window covers holds the last value before it."""
    covered = np.full((LENGTHS[video], 2), np.nan)
    for part, values in frames_of(arrays, video, weights):
        covered[part] = values
    last = np.maximum.accumulate(np.where(np.isnan(covered[:, 0]), 0, np.arange(len(covered))))
    return covered[last]


def smoothed(values: np.ndarray, weights: str | None) -> np.ndarray:
    if weights is None:
        return values
    columns = [ReplicatedSmoothing(w, weights)(values[:, i]) for i, w in enumerate(WIDTHS)]
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize(
    ('name', 'weights', 'kernel'),
    [
        ('mean_none', 'uniform', None),
        ('center_weighted_moving_average', 'triangle', 'equal'),
        ('gaussian_weighted_gaussian', 'gaussian', 'gaussian'),
    ],
)
def test_windows_to_frames(golden_2025: Path, name: str, weights: str, kernel: str | None) -> None:
    """Where the reference fills gaps, after filling them; elsewhere each covered part is smoothed alone."""
    arrays = read(golden_2025, 'postprocess')
    for video in LENGTHS:
        filled, as_is = (arrays.get(f'{name}_{kind}_{video}') for kind in ('filled', 'as_is'))
        assert filled is not None or as_is is not None
        if filled is not None:
            found = smoothed(carried_on(arrays, video, weights), kernel)
            shown = ~np.isnan(filled)  # a frame without a label is left out there
            assert shown.mean() > 0.9
            np.testing.assert_allclose(found[shown], filled[shown], rtol=0, atol=1e-6)
        if as_is is not None:
            for part, values in frames_of(arrays, video, weights):
                np.testing.assert_allclose(smoothed(values, kernel), as_is[part], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    'name',
    [
        'mean_none_as_is',
        'mean_none_filled',
        'center_weighted_moving_average_filled',
        'last_none_as_is',
        'gaussian_weighted_gaussian_as_is',
    ],
)
def test_score_of_frames(golden_2025: Path, name: str) -> None:
    """Over the frames of all videos that have a label and a prediction."""
    arrays = read(golden_2025, 'postprocess')
    pred = np.concatenate([arrays[f'{name}_{video}'] for video in LENGTHS])
    label = np.concatenate([arrays[f'gt_{video}'] for video in LENGTHS])
    counted = ~np.isnan(pred).any(1) & (label != -5).all(1)
    found = [ccc(label[counted, i], pred[counted, i]) for i in (0, 1)]
    np.testing.assert_allclose(found, arrays[f'{name}_metric'], rtol=0, atol=1e-6)


def test_metrics(golden_2025: Path) -> None:
    """RAAV's is ours; that of the visual and fusion models has variances over n - 1, a covariance over n."""
    arrays = read(golden_2025, 'losses')
    label, pred = arrays['gold'][arrays['valid']], arrays['pred'][arrays['valid']]
    found = np.array([ccc(label[:, i], pred[:, i]) for i in (0, 1)])
    np.testing.assert_allclose(found, arrays['metric_raav'], rtol=0, atol=1e-6)
    distance = (label.mean(0) - pred.mean(0)) ** 2
    biased, unbiased = (label.var(0, ddof=d) + pred.var(0, ddof=d) + distance for d in (0, 1))
    np.testing.assert_allclose(found * biased / unbiased, arrays['metric_dcmmoe'], rtol=0, atol=1e-6)
