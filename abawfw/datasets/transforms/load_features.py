"""From the store into the pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.datasets.stores.checks import check_finite
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFeatures:
    """Read a clip's features and labels.

    Sets ``inputs`` {feature: (time, *dims), float32, or uint8 where the store keeps bytes}, ``gt_va``
    (time, 2) float32 with NaN where there is no label, and ``valid`` (time,) bool, all True.

    Raises:
        DataError: a feature is NaN or infinite; names feature, video, first bad frame and their number.
    """

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add inputs, gt_va and valid."""
        store, clip, video_id = results['store'], results['clip'], results['video'].video_id
        inputs = {}
        for feature in results['features']:
            values = store.read(video_id, feature, clip.start, clip.stop)
            check_finite(values, feature, video_id, clip.start)
            inputs[feature] = values if values.dtype == np.uint8 else np.asarray(values, dtype=np.float32)
        results['inputs'] = inputs
        results['gt_va'] = store.labels(video_id, clip.start, clip.stop)
        results['valid'] = np.ones(clip.stop - clip.start, dtype=bool)
        return results
