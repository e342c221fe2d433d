"""The metric of a run: predictions of clips -> numbers of whole videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric

from abawfw.components import WholeNumber
from abawfw.conventions import TARGETS
from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import CLIP_WEIGHTS, Moments, assemble, moments, smooth_and_clip
from abawfw.registry import METRICS
from abawfw.structures import VABatch

COLUMNS = {'valence': 0, 'arousal': 1}  # of the labels
WINDOWS = {'valence': 50, 'arousal': 20}  # docs/rucaim3.md, Inference: one-sided, chosen on Aff-Wild2's val

ClipWeights = Literal['uniform', 'triangle', 'gaussian']

UNREAD = 50
"""Batches whose predictions stay on a device before they are read."""


class AssembledVideo(NamedTuple):
    """Predictions and labels of a whole video, (frames, targets) each, labels NaN where there are none."""

    pred: np.ndarray
    label: np.ndarray


class _Clip(NamedTuple):
    video_id: str
    start: int
    video_length: int
    pred: np.ndarray
    label: np.ndarray


@METRICS.register_module()
class VAMetric(BaseMetric):
    """CCC, PCC and RMSE over the frames of all videos.

    Every frame counts once: clips that two ranks have both seen are counted once, clips that overlap are
    averaged, videos are assembled before anything is measured. Keys are ``ccc_valence``, ``pcc_valence``,
    ``rmse_valence``, the same for arousal, and ``ccc``, the mean over the targets; then all of them again
    with the suffix ``_clipped`` (to [-1, 1]) and ``_smoothed`` (smoothed, then clipped). Only targets of the
    model have keys.

    Args:
        targets: columns of the predictions.
        windows: one-sided smoothing window of each target, in frames. ``_smoothed`` is a mean over it,
            whatever a config's ``postprocess`` says: that may have to be fitted, which tools/test.py does.
        weights: what the frames of a clip count where clips overlap, a key of ``CLIP_WEIGHTS``.

    Attributes:
        videos: what the last ``collect`` or ``evaluate`` assembled, by video, in the order of their names;
            the same on every rank.
    """

    def __init__(
        self,
        targets: Sequence[str] = TARGETS,
        windows: Mapping[str, WholeNumber] | None = None,
        weights: ClipWeights = 'uniform',
    ) -> None:
        # MMEngine warns about a metric without prefix; ours has keys that are clear without one.
        super().__init__(prefix='va')
        self.prefix = None
        unknown = [t for t in targets if t not in COLUMNS]
        if unknown or not targets:
            raise ConfigError(f'targets {list(targets)}: choose from {list(COLUMNS)}')
        self.targets = tuple(targets)
        self.windows = dict(WINDOWS if windows is None else windows)
        missing = [t for t in targets if t not in self.windows]
        if missing:
            raise ConfigError(f'windows {self.windows} of VAMetric lack the target {missing[0]}')
        self.weights = CLIP_WEIGHTS[weights]
        self.videos: dict[str, AssembledVideo] = {}
        self._unread: list[VABatch] = []

    def process(self, data_batch: Any, data_samples: Sequence[VABatch]) -> None:
        """Keep one entry per clip; fillers (no frames) are skipped.

        Args:
            data_batch: not used.
            data_samples: batches with ``pred_va``, on any device. What is not on the CPU is read when some
                more batches have come, as reading waits for all that the device still computes.
        """
        self._unread += data_samples
        if len(self._unread) >= UNREAD or all(batch.gt_va.device.type == 'cpu' for batch in self._unread):
            self._read()

    def _read(self) -> None:
        columns = [COLUMNS[t] for t in self.targets]
        unread, self._unread = self._unread, []
        for batch in (batch.to('cpu') for batch in unread):
            labels = batch.gt_va.float().numpy()
            for row, pred in enumerate(batch.predictions()):
                video, start, n = batch.video_id[row], batch.start[row], batch.num_frames[row]
                if not n:
                    continue
                label = labels[row, :n][:, columns]
                if pred.shape != (n, len(columns)) or label.shape != pred.shape:
                    raise DataError(
                        f'video {video}, clip from frame {start}: predictions {tuple(pred.shape)} '
                        f'and labels {label.shape}, but {n} frames of {", ".join(self.targets)} are expected'
                    )
                own = pred.float().numpy().copy()
                self.results.append(_Clip(video, start, batch.video_length[row], own, label))

    def collect(self) -> dict[str, AssembledVideo]:
        """Gather the clips of all ranks, assemble every video, and forget the clips.

        Use it instead of ``evaluate`` for a partition without labels. To be called by all ranks.

        Raises:
            DataError: a prediction is not finite, or a frame is covered by no clip (on every rank alike).
        """
        self._read()
        clips: dict[str, dict[int, _Clip]] = {}
        for part in all_gather_object(self.results):
            for clip in part:
                clips.setdefault(clip.video_id, {})[clip.start] = clip
        self.results.clear()
        self.videos = {
            name: _assemble(name, list(clips[name].values()), self.weights) for name in sorted(clips)
        }
        return self.videos

    def evaluate(self, size: int) -> dict[str, float]:
        """Assemble and measure. Every rank computes the same numbers from the same frames.

        Args:
            size: not used; MMEngine cuts the results to this many, which loses frames of clips.
        """
        return self.compute_metrics(list(self.collect().values()))

    def compute_metrics(self, results: list[AssembledVideo]) -> dict[str, float]:
        """All metrics of assembled videos.

        Raises:
            DataError: there is no video, or a target has no label in any of them.
        """
        if not results:
            raise DataError('there are no predictions to measure: the data loader gave no clip with frames')
        metrics = {}
        for suffix in ('', '_clipped', '_smoothed'):
            for k, target in enumerate(self.targets):
                pooled = Moments.pool(
                    moments(v.label[:, k], self._finish(v.pred[:, k], target, suffix)) for v in results
                )
                if not pooled.n:
                    raise DataError(
                        f'no valid label of {target} in {counted(len(results), "video")}: nothing to measure'
                    )
                metrics[f'ccc_{target}{suffix}'] = pooled.ccc
                metrics[f'pcc_{target}{suffix}'] = pooled.pcc
                metrics[f'rmse_{target}{suffix}'] = pooled.rmse
            ccc = [metrics[f'ccc_{t}{suffix}'] for t in self.targets]
            metrics[f'ccc{suffix}'] = sum(ccc) / len(ccc)
        return metrics

    def _finish(self, pred: np.ndarray, target: str, suffix: str) -> np.ndarray:
        if suffix == '_smoothed':
            return smooth_and_clip(pred, self.windows[target])
        return np.clip(pred, -1.0, 1.0) if suffix == '_clipped' else pred


def _assemble(video_id: str, clips: list[_Clip], weights: Callable[[int], np.ndarray]) -> AssembledVideo:
    lengths = sorted({clip.video_length for clip in clips})
    if len(lengths) > 1:
        raise DataError(
            f'video {video_id}: its clips state different lengths, {lengths[0]} and {lengths[-1]}'
        )
    clips.sort(key=lambda clip: clip.start)
    pred = assemble(((clip.start, clip.pred) for clip in clips), lengths[0], video_id, weights)
    finite = np.isfinite(pred).all(axis=1)
    if not finite.all():
        raise DataError(
            f'video {video_id}: predictions of {np.count_nonzero(~finite)} of {len(pred)} frames are not '
            f'finite, first in frame {np.argmin(finite)}; the model has diverged or its weights are damaged'
        )
    label = np.empty(pred.shape, dtype=np.float64)
    for clip in clips:
        label[clip.start : clip.start + len(clip.label)] = clip.label
    return AssembledVideo(pred, label)
