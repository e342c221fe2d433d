"""Predictions of whole videos from a model and a data loader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.device import get_device

from abawfw.apis.progress import Report, unseen
from abawfw.errors import DataError
from abawfw.evaluation.va_metric import VAMetric, VideoPrediction


def predict(model: Any, loader: Any, device: str | None = None) -> dict[str, VideoPrediction]:
    """Run a model over every clip of a loader.

    Args:
        model: an estimator; moved to the device.
        loader: ``DataLoader`` of an evaluation partition, as ``build_loader`` makes it.
        device: where to compute; None for the GPU if there is one.

    Returns:
        By video, in the order of the store: raw predictions and labels, each (frames, targets).

    Raises:
        DataError: a video or a frame got no prediction, or one that is not finite.
    """
    return predict_together([model], loader, device)[0]


def predict_together(
    models: Sequence[Any], loader: Any, device: str | None = None, progress: Report = unseen
) -> list[dict[str, VideoPrediction]]:
    """Run several models over every clip of a loader, which is gone through once.

    Arguments and errors are those of ``predict``, whose results come for each model; ``progress`` is called
    with every batch.
    """
    models = [model.to(device or get_device()).eval() for model in models]
    metrics = [VAMetric(targets=model.targets) for model in models]
    loader.batch_sampler.set_epoch(0)
    for model in models:
        model.reset_lanes()
    with torch.inference_mode():
        what, total = f'predicting {loader.dataset.partition}', len(loader.batch_sampler)
        for done, batch in enumerate(loader):
            progress(what, done, total)
            for model, metric in zip(models, metrics, strict=True):
                metric.process(batch, model.val_step(batch))
    return [_in_order(metric, loader) for metric in metrics]


def _in_order(metric: VAMetric, loader: Any) -> dict[str, VideoPrediction]:
    found = metric.collect()
    order = [v.video_id for v in loader.dataset.videos]
    missing = [v for v in order if v not in found]
    if missing:
        raise DataError(f'{len(missing)} videos got no prediction: {", ".join(missing[:5])}')
    return {v: found[v] for v in order}
