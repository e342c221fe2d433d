"""The prediction files of a run, in the reference's names and structure (docs/rucaim3.md, Inference)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import Moments, moments
from abawfw.evaluation.incomplete import check_complete
from abawfw.evaluation.postprocess.pipeline import Pipeline
from abawfw.evaluation.predictions import INVALID, Predictions
from abawfw.files import write_text

PARTITIONS = ('val', 'tst')
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


def predictions_folder(run: Path | str) -> Path:
    """Where a run keeps its prediction files: RUN/predictions, or RUN itself if it holds them."""
    inner = Path(run) / 'predictions'
    return inner if inner.is_dir() else Path(run)


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
            f'other target alone leaves {target} away with --target'
        )
    check_complete(path.parent, partition, target)
    return Predictions.read(path, clipped=kind != 'raw')


def _check_partition(partition: str) -> None:
    if partition not in PARTITIONS:
        raise ConfigError(
            f'no partition {partition!r} in prediction files; there are {", ".join(PARTITIONS)}'
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
