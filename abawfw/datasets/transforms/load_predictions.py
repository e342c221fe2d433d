"""A teacher's curves, beside the labels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import MinLen

from abawfw.conventions import TARGETS
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError, DataError, counted, few
from abawfw.prediction_files import read_predictions
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPredictions:
    """Read what a run or an ensemble predicts of the training videos, for `DistillationLoss`; training only.

    Sets ``teacher_va`` (time, 2) float32, NaN in a column that is no target. Files are read when the dataset
    is built; they are written by ``tools/test.py RUN --partition train`` and, of an ensemble, by
    ``tools/ensemble.py RUN ... --partition train --out FOLDER``.

    Args:
        teacher: work_dir of a run that is tested on its training videos, or a folder of prediction files.
        targets: those that are read.
        stage: clipped predictions, smoothed ones, or, of a run, raw ones.

    Attributes:
        videos: names of those that the teacher has predictions of, which it has learned from.

    Raises:
        DataError: a file is missing, damaged or half-written, or a prediction is not finite; names video and
            frame.
    """

    changes_values = False

    def __init__(
        self,
        teacher: Annotated[str, MinLen(1)],
        targets: Annotated[Sequence[Literal['valence', 'arousal']], MinLen(1)],
        stage: Literal['raw', 'clipped', 'smoothed'] = 'clipped',
    ) -> None:
        inner = Path(teacher) / 'predictions'
        self.folder = inner if inner.is_dir() else Path(teacher)
        curves: dict[str, dict[str, np.ndarray]] = {}
        for target in targets:
            read = read_predictions(self.folder, 'train', target, stage == 'smoothed', stage == 'raw')
            for video, values in read.preds.items():
                curves.setdefault(video, {})[target] = values
        self.targets = list(targets)
        self._curves = {video: self._columns(video, of) for video, of in curves.items()}

    @property
    def videos(self) -> set[str]:
        """Those of the teacher."""
        return set(self._curves)

    def checksum(self) -> int:
        """Of all predictions, to notice that others have taken their place."""
        value = 0
        for video, curves in sorted(self._curves.items()):
            value = zlib.crc32(curves.tobytes(), zlib.crc32(video.encode(), value))
        return value

    def check_videos(self, videos: Sequence[VideoInfo]) -> None:
        """Compare the teacher's videos with those of a dataset; more of them do no harm.

        Raises:
            DataError: the teacher lacks a video, or has another number of frames of it; names them.
        """
        lacking = [video.video_id for video in videos if video.video_id not in self._curves]
        if lacking:
            raise DataError(
                f'{self.folder}: predictions of train are of other videos: {counted(len(lacking), "video")} '
                f'of {len(videos)} not among them: {few(lacking)}; teacher and student need the same '
                'data and fold'
            )
        frames = {v.video_id: (len(self._curves[v.video_id]), v.num_frames) for v in videos}
        differing = [
            f'{v} ({n} there, {there} in the data)' for v, (n, there) in frames.items() if n != there
        ]
        if differing:
            raise DataError(
                f'{self.folder}: predictions of train have other numbers of frames than the data: '
                f'{few(differing)}; teacher and student need the same data'
            )

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add teacher_va."""
        clip, video = results['clip'], results['video'].video_id
        if len(results['valid']) != clip.stop - clip.start:
            raise ConfigError(
                'LoadPredictions: the clip was padded before; put PadTo after it in the pipeline'
            )
        results['teacher_va'] = self._curves[video][clip.start : clip.stop]
        return results

    def _columns(self, video: str, of: dict[str, np.ndarray]) -> np.ndarray:
        """(frames, 2) float32 of a video's targets."""
        lengths = {target: len(values) for target, values in of.items()}
        if len(of) < len(self.targets) or len(set(lengths.values())) > 1:
            found = ', '.join(f'{n} frames of {target}' for target, n in lengths.items())
            raise DataError(
                f'{self.folder}, video {video}: predictions of train differ between targets: only {found}; '
                'write them again'
            )
        columns = np.full((lengths[self.targets[0]], len(TARGETS)), np.nan, np.float32)
        for target, values in of.items():
            columns[:, TARGETS.index(target)] = values
        return columns


def teacher_problems(datasets: Mapping[str, Any], asked: bool | None) -> Iterator[str]:
    """A teacher whom no loss asks, a loss without one, and one who has learned what is validated on.

    Args:
        datasets: that of ``train_dataloader``, and of ``val_dataloader`` if it could be built.
        asked: whether a loss needs a teacher; None where that is unknown.
    """
    pipeline = datasets['train_dataloader'].pipeline
    place = 'train_dataloader.dataset.pipeline'
    teachers = [transform for transform in pipeline if isinstance(transform, LoadPredictions)]
    if asked and not teachers:
        yield (
            f'{place}: DistillationLoss needs a teacher: put '
            "dict(type='LoadPredictions', teacher=..., targets='${targets}') behind LoadFeatures"
        )
    if asked is False and teachers:
        yield f'{place}: LoadPredictions: no loss of the head asks it: add DistillationLoss'
    validated = datasets['val_dataloader'].videos if 'val_dataloader' in datasets else ()
    for teacher in teachers:
        known = [video.video_id for video in validated if video.video_id in teacher.videos]
        if known:
            yield (
                f'{place}: {teacher.folder} has learned from {counted(len(known), "video")} that the run '
                f'validates on, such as {known[0]}: take a teacher of the same fold'
            )
