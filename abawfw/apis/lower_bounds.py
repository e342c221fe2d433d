"""What every model must beat: predictions that know training labels, and nothing of a video."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mmengine.config import Config

from abawfw.datasets.splits.build import build_split
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.labels import COLUMNS
from abawfw.evaluation.functional import MeanCourse, Moments


def lower_bounds(
    cfg: Config, store: FeatureStore, labels: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """CCC on val of predictions made of the labels of the training videos of the run's fold.

    Args:
        cfg: resolved config of the run.
        store: its data.
        labels: of val by target and video, (frames,), NaN where there is none.

    Returns:
        By target: ``constant``, the mean of all training labels, whose CCC is 0 as that of any constant, and
        ``course``, their mean as a function of time, see ``MeanCourse``. Targets without a labelled frame in
        either partition are left out.

    Raises:
        DataError: a training label cannot be read.
    """
    if not labels or not any(video.partition == 'train' for video in store.videos()):
        return {}
    split = build_split(cfg.val_dataloader.dataset.get('split'), store)
    courses = {target: MeanCourse() for target in labels}
    for video in split.videos(store.videos(), 'train'):
        values = store.labels(video.video_id, 0, video.num_frames)
        for target, course in courses.items():
            course.add(values[:, COLUMNS.index(target)])
    found = {}
    for target, of in labels.items():
        parts = [part for label in of.values() if (part := courses[target].against(label)) is not None]
        pooled = Moments.pool(parts)
        if pooled.n:
            found[target] = {'constant': 0.0, 'course': pooled.ccc}
    return found
