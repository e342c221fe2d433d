"""What one prediction file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abawfw.errors import DataError, counted
from abawfw.json_files import read_json

INVALID = -5.0  # stands for a label that is not there
AGAIN = 'write it again with: python tools/test.py RUN'


class Predictions(NamedTuple):
    """Predictions of one target and, if the file has any, labels (NaN: invalid); (frames,) by video."""

    preds: dict[str, np.ndarray]
    labels: dict[str, np.ndarray] | None

    @classmethod
    def read(cls, path: Path, clipped: bool) -> Predictions:
        """Read a file that may come from anywhere.

        Args:
            path: of the file.
            clipped: whether predictions must lie within [-1, 1].

        Raises:
            DataError: it is no JSON of the expected structure, or holds values that cannot be; names video,
                frame and value.
        """
        try:
            content = read_json(path)
        except DataError as error:
            raise DataError(f'{error}; {AGAIN}') from None
        try:
            entries = {video: (entry['pred'], entry.get('label')) for video, entry in content.items()}
        except (TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f'{path} is no prediction file, {{video: {{"video_id", "pred", "label"}}}}: {error!r}; '
                f'{AGAIN}'
            ) from error
        if not entries:
            raise DataError(f'{path} holds no video; {AGAIN}')
        preds, labels = {}, {}
        for video, (pred, label) in entries.items():
            where = f'{path}, video {video}'
            preds[video] = _numbers(where, 'pred', pred)
            _check_bounds(where, 'pred', preds[video], clipped)
            if label is not None:
                labels[video] = _numbers(where, 'label', label)
                labels[video][labels[video] == INVALID] = np.nan
                if len(labels[video]) != len(preds[video]):
                    raise DataError(
                        f'{where}: {counted(len(preds[video]), "prediction")}, but '
                        f'{counted(len(labels[video]), "label")}; {AGAIN}'
                    )
                _check_bounds(where, 'label', labels[video], True)
        if labels and len(labels) < len(preds):
            without = ', '.join(video for video in preds if video not in labels)
            raise DataError(
                f'{path}: {counted(len(labels), "video")} '
                f'{"has" if len(labels) == 1 else "have"} labels, but not {without}; {AGAIN}'
            )
        return cls(preds, labels or None)


def _numbers(where: str, key: str, values: Any) -> np.ndarray:
    """(frames,) float64 of a list of numbers."""
    if not isinstance(values, list):
        raise DataError(
            f'{where}: "{key}" is {type(values).__name__}, not a list with a number per frame; {AGAIN}'
        )
    for frame, value in enumerate(values):
        # what JSON gives; anything else would be taken for a number by numpy here and there
        if type(value) not in (float, int):
            raise DataError(f'{where}, frame {frame}: "{key}" is {json.dumps(value)}, no number; {AGAIN}')
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise DataError(f'{where}: "{key}" holds a number that is too large: {error}; {AGAIN}') from error


def _check_bounds(where: str, key: str, values: np.ndarray, bounded: bool) -> None:
    """Predictions are finite; labels may be NaN, which stands for none by now; both may have bounds."""
    wrong = ~np.isfinite(values) if key == 'pred' else np.isinf(values)
    if bounded:
        wrong |= np.abs(values) > 1
    if wrong.any():
        frame = int(wrong.argmax())
        what = 'a number in [-1, 1]' if bounded else 'a finite number'
        raise DataError(f'{where}, frame {frame}: "{key}" is {values[frame]!s}, which is not {what}; {AGAIN}')
