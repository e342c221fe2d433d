"""What one prediction file holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abawfw.errors import ConfigError, DataError, Interrupted, counted
from abawfw.evaluation.functional import Moments, moments
from abawfw.evaluation.postprocess.pipeline import Pipeline
from abawfw.files import write_text
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


PARTITIONS = {'val': 'val', 'test': 'tst'}  # of a store, and as names of files have them
KINDS = {'raw': 'nosmooth_ori', 'clipped': 'nosmooth', 'smoothed': 'smooth'}


def write_predictions(
    folder: Path | str,
    partition: str,
    target: str,
    preds: Mapping[str, Any],
    labels: Mapping[str, Any] | None,
    postprocess: Pipeline | int,
    faces: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write raw predictions (val only), clipped ones, smoothed ones, and the CCC of each (val only).

    Smoothed are those that post-processing gives, whatever it does. The last line of the file of CCCs names
    the window of a mean, as in the reference, or else every step.

    Args:
        folder: made if needed.
        partition: 'val' or 'tst'.
        target: 'valence' or 'arousal'.
        preds: raw predictions of each video, (frames,).
        labels: of each video, NaN where invalid (written as -5); needed for 'val', not written for 'tst'.
        postprocess: what smooths and clips, or the one-sided window of a mean in frames.
        faces: where a face was found, (frames,) bool or None by video, for post-processing that needs it.

    Returns:
        The files, each written to a temporary name and renamed.

    Raises:
        DataError: labels are missing or of another length, or a prediction is not finite; nothing is written.
    """
    _check_partition(partition)
    raw = {video: np.asarray(pred, dtype=np.float64) for video, pred in preds.items()}
    for video, pred in raw.items():
        if pred.ndim != 1 or not np.isfinite(pred).all():
            raise DataError(f'video {video}: predictions of {target} are not one finite number per frame')
    pipeline = Pipeline.of(postprocess)
    stages = {
        'raw': raw,
        'clipped': {video: np.clip(pred, -1.0, 1.0) for video, pred in raw.items()},
        'smoothed': pipeline.videos(raw, faces),
    }
    if partition == 'tst':
        del stages['raw']
        labels = None
    texts = {}
    if partition == 'val':
        if labels is None:
            raise DataError('predictions of val are written together with their labels, but there are none')
        _check_labels(raw, labels, target)
        scores = [Moments.pool(moments(labels[v], p[v]) for v in p).ccc for p in stages.values()]
        names = ('nosmooth_ori_ccc', 'nosmooth_ccc', 'smoothed_ccc')
        lines = [f'{name}:\t{value}' for name, value in zip(names, scores, strict=True)]
        window = pipeline.window
        lines.append(f'post-processing:\t{pipeline}' if window is None else f'setting window:\t{window}')
        texts[f'val_pred_{target}_result.txt'] = '\n'.join(lines)
    for kind, values in stages.items():
        texts[file_name(partition, target, kind)] = _to_json(values, labels)
    paths = []
    for name, text in texts.items():
        path = Path(folder) / name
        write_text(path, text)
        paths.append(path)
    return paths


def file_name(partition: str, target: str, kind: str) -> str:
    """Name of the file that holds the 'raw', 'clipped' or 'smoothed' predictions."""
    return f'{partition}_pred_{target}_{KINDS[kind]}.json'


def read_predictions(
    folder: Path | str, partition: str, target: str, smoothed: bool = False, raw: bool = False
) -> Predictions:
    """Read one file of a run: clipped predictions, or ``smoothed``, or ``raw`` ones (val only).

    Raises:
        DataError: the file is missing, is no JSON of the expected structure, or holds values that cannot be.
    """
    _check_partition(partition)
    kind = 'raw' if raw else 'smoothed' if smoothed else 'clipped'
    path = Path(folder) / file_name(partition, target, kind)
    if not path.is_file():
        option = '' if partition == 'val' else ' --partition test'
        raise DataError(
            f'{path} is missing; it is made by: python tools/test.py RUN{option}. An ensemble of runs of the '
            f'other target alone omits {target} with --target'
        )
    check_complete(path.parent, partition, target)
    return Predictions.read(path, clipped=kind != 'raw')


def _check_partition(partition: str) -> None:
    if partition not in PARTITIONS.values():
        raise ConfigError(
            f'no partition {partition!r} in prediction files; there are {", ".join(PARTITIONS.values())}'
        )


def _check_labels(preds: Mapping[str, Any], labels: Mapping[str, Any], target: str) -> None:
    for video, pred in preds.items():
        label = np.asarray(labels.get(video, ()))
        if label.shape != pred.shape:
            raise DataError(
                f'video {video}: {counted(len(pred), "prediction")} of {target}, but '
                f'{counted(len(label), "label")}'
            )
        if (np.abs(label) > 1).any() or np.isinf(label).any():
            frame = int(np.argmax(np.abs(label) > 1))
            raise DataError(
                f'video {video}, frame {frame}: label {label[frame]} of {target} is not in [-1, 1]'
            )


def _to_json(preds: Mapping[str, np.ndarray], labels: Mapping[str, Any] | None) -> str:
    content: dict[str, dict[str, Any]] = {}
    for video, pred in preds.items():
        content[video] = {'video_id': video, 'pred': pred.tolist()}
        if labels is not None:
            label = np.asarray(labels[video], dtype=np.float64)
            content[video]['label'] = np.where(np.isnan(label), INVALID, label).tolist()
    return json.dumps(content, allow_nan=False)


INCOMPLETE = 'incomplete.txt'


@contextmanager
def writing(folder: Path, parts: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Mark parts of a folder until all of their files are written; where that fails, the mark stays.

    Args:
        folder: of the prediction files.
        parts: partition, as files call it, and target.

    Raises:
        Interrupted: Ctrl-C meanwhile; the message says what is there now.
    """
    now = {f'{partition} {target}' for partition, target in parts}
    before = _marked(folder)
    _mark(folder, before | now)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f'interrupted while writing {folder}: it is marked as incomplete, and the same command '
            'writes it anew'
        ) from error
    _mark(folder, before - now)


def check_complete(folder: Path, partition: str, target: str) -> None:
    """Refuse what a test has not written to its end.

    Raises:
        DataError: it has not.
    """
    if f'{partition} {target}' in _marked(folder):
        raise DataError(
            f'{folder}: a test was interrupted while it wrote {target} of {partition}, or is still writing; '
            'test the run again: python tools/test.py RUN'
        )


def _marked(folder: Path) -> set[str]:
    path = folder / INCOMPLETE
    return set(path.read_text(encoding='utf-8').splitlines()) if path.is_file() else set()


def _mark(folder: Path, parts: set[str]) -> None:
    if parts:
        write_text(folder / INCOMPLETE, ''.join(f'{part}\n' for part in sorted(parts)))
    else:
        (folder / INCOMPLETE).unlink(missing_ok=True)
