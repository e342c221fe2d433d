"""Search of the smoothing window that fits the validation labels best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional.moments import Moments, moments
from abawfw.evaluation.functional.smoothing import smooth

WINDOWS = tuple(range(0, 100, 5))


class WindowSearch(NamedTuple):
    """What a search found: the best one-sided window, and every window tried with its CCC."""

    window: int
    ccc: dict[int, float]


def window_search(
    preds: Sequence[Any], labels: Sequence[Any], windows: Sequence[int] = WINDOWS, kernel: str = 'mean'
) -> WindowSearch:
    """Smooth the raw predictions with each window and compare over the frames of all videos.

    As in the reference, the windows are compared before clipping; what is written and reported is clipped.

    Args:
        preds: raw predictions of each video, (frames,).
        labels: labels of each video, (frames,), NaN where there is none.
        windows: one-sided windows to try; of equally good ones the first is taken.
        kernel: see ``smooth``.

    Raises:
        ConfigError: no window is given.
        DataError: numbers of videos or of frames differ, or no frame has a label.
    """
    if len(preds) != len(labels):
        raise DataError(f'predictions of {len(preds)} videos, but labels of {len(labels)}')
    if not windows:
        raise ConfigError('a window search needs at least one window')
    scores = {}
    for window in windows:
        parts = (moments(y, smooth(x, window, kernel)) for x, y in zip(preds, labels, strict=True))
        scores[window] = Moments.pool(parts).ccc
    return WindowSearch(max(scores, key=scores.__getitem__), scores)
