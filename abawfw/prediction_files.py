"""What one prediction file holds, and how it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abawfw.conventions import NO_LABEL
from abawfw.errors import ConfigError, DataError, counted
from abawfw.json_files import read_json
from abawfw.text_files import read_text

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
        content = read_json(path, AGAIN)
        if not isinstance(content, dict):
            raise DataError(
                f'{path} is no prediction file: it holds a {type(content).__name__} where an object with a '
                f'video per key is expected; {AGAIN}'
            )
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
                labels[video][labels[video] == NO_LABEL] = np.nan
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


PARTITIONS = {'train': 'train', 'val': 'val', 'test': 'tst'}  # of a store, and as names of files have them
KINDS = {'raw': 'nosmooth_ori', 'clipped': 'nosmooth', 'smoothed': 'smooth'}


def file_name(partition: str, target: str, kind: str) -> str:
    """Name of the file that holds the 'raw', 'clipped' or 'smoothed' predictions."""
    return f'{partition}_pred_{target}_{KINDS[kind]}.json'


def read_predictions(
    folder: Path | str, partition: str, target: str, smoothed: bool = False, raw: bool = False
) -> Predictions:
    """Read one file of a run: clipped predictions, or ``smoothed``, or ``raw`` ones (not of 'tst').

    Raises:
        DataError: the file is missing, is no JSON of the expected structure, or holds values that cannot be.
    """
    check_partition(partition)
    kind = 'raw' if raw else 'smoothed' if smoothed else 'clipped'
    path = Path(folder) / file_name(partition, target, kind)
    if not path.is_file():
        option = {'val': '', 'tst': ' --partition test', 'train': ' --partition train'}[partition]
        others = [k for k in KINDS if (path.parent / file_name(partition, target, k)).is_file()]
        there = f' Instead of {kind} predictions, there are {" and ".join(others)} ones.' if others else ''
        raise DataError(
            f'{path} is missing; it is made by: python tools/test.py RUN{option}.{there} '
            f'An ensemble of runs of the other target alone omits {target} with --target'
        )
    check_complete(path.parent, partition, target)
    return Predictions.read(path, clipped=kind != 'raw')


def check_partition(partition: str) -> None:
    """Refuse what no prediction file is of.

    Raises:
        ConfigError: it is unknown.
    """
    if partition not in PARTITIONS.values():
        raise ConfigError(
            f'no partition {partition!r} in prediction files; there are {", ".join(PARTITIONS.values())}'
        )


INCOMPLETE = 'incomplete.txt'


def check_complete(folder: Path, partition: str, target: str) -> None:
    """Refuse what a test has not written to its end.

    Raises:
        DataError: it has not.
    """
    if f'{partition} {target}' in marked(folder):
        raise DataError(
            f'{folder}: a test was interrupted while it wrote {target} of {partition}, or is still writing; '
            'test the run again: python tools/test.py RUN'
        )


def marked(folder: Path) -> set[str]:
    """The parts of a folder that are not written to their end, such as 'val valence'."""
    path = folder / INCOMPLETE
    return set(read_text(path).splitlines()) if path.is_file() else set()
