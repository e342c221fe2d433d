"""Writing what a run predicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.conventions import NO_LABEL
from abawfw.errors import DataError, Interrupted, counted
from abawfw.evaluation.functional import Moments, moments
from abawfw.evaluation.postprocess.pipeline import Pipeline
from abawfw.files import write_text
from abawfw.prediction_files import INCOMPLETE, check_partition, file_name, marked


def write_predictions(
    folder: Path | str,
    partition: str,
    target: str,
    preds: Mapping[str, Any],
    labels: Mapping[str, Any] | None,
    postprocess: Pipeline | int,
    faces: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write raw predictions (not of 'tst'), clipped ones, smoothed ones, and the CCC of each (val only).

    Smoothed are those that post-processing gives, whatever it does. The last line of the file of CCCs names
    the window of a mean, as in the reference, or else every step.

    Args:
        folder: made if needed.
        partition: 'train', 'val' or 'tst'.
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
    check_partition(partition)
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
    if partition == 'val' and labels is None:
        raise DataError('predictions of val are written together with their labels, but there are none')
    if labels is not None:
        _check_labels(raw, labels, target)
    texts = {}
    if partition == 'val':
        assert labels is not None
        scores = [Moments.pool(moments(labels[v], p[v]) for v in p).ccc for p in stages.values()]
        names = ('nosmooth_ori_ccc', 'nosmooth_ccc', 'smoothed_ccc')
        lines = [f'{name}:\t{value}' for name, value in zip(names, scores, strict=True)]
        window = pipeline.window
        lines.append(f'post-processing:\t{pipeline}' if window is None else f'setting window:\t{window}')
        texts[f'val_pred_{target}_result.txt'] = '\n'.join(lines)
    for kind, values in stages.items():
        texts[file_name(partition, target, kind)] = to_json(values, labels)
    paths = []
    for name, text in texts.items():
        path = Path(folder) / name
        write_text(path, text)
        paths.append(path)
    return paths


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


def to_json(preds: Mapping[str, np.ndarray], labels: Mapping[str, Any] | None = None) -> str:
    """What a prediction file holds, of predictions and labels of each video, (frames,)."""
    content: dict[str, dict[str, Any]] = {}
    for video, pred in preds.items():
        content[video] = {'video_id': video, 'pred': pred.tolist()}
        if labels is not None:
            label = np.asarray(labels[video], dtype=np.float64)
            content[video]['label'] = np.where(np.isnan(label), NO_LABEL, label).tolist()
    return json.dumps(content, allow_nan=False)


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
    before = marked(folder)
    _mark(folder, before | now)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f'interrupted while writing {folder}: it is marked as incomplete, and the same command '
            'writes it anew'
        ) from error
    _mark(folder, before - now)


def _mark(folder: Path, parts: set[str]) -> None:
    if parts:
        write_text(folder / INCOMPLETE, ''.join(f'{part}\n' for part in sorted(parts)))
    else:
        (folder / INCOMPLETE).unlink(missing_ok=True)
