"""From the store into the pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.datasets.stores.checks import check_finite
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFeatures:
    """Read a clip's features and labels.

    Sets ``inputs`` {feature: (time, *dims)}, in the type the store keeps; ``gt_va`` (time, 2) float32 with
    NaN where there is no label; ``valid`` (time,) bool, all True; and ``observed`` {feature: (time,) bool}.

    Args:
        masked: mark frames in which a feature was not observed, such as those without a face; otherwise all
            frames count as observed, whatever the store has there.

    Raises:
        DataError: a feature is NaN or infinite; names feature, video, first bad frame and their number.
    """

    def __init__(self, masked: bool = False) -> None:
        self.masked = masked

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add inputs, gt_va, valid and observed."""
        store, clip, video_id = results['store'], results['clip'], results['video'].video_id
        inputs, observed = {}, {}
        for feature in results['features']:
            values = store.read(video_id, feature, clip.start, clip.stop)
            check_finite(values, feature, video_id, clip.start)
            inputs[feature] = values
            observed[feature] = (
                store.observed(video_id, feature, clip.start, clip.stop)
                if self.masked
                else np.ones(len(values), dtype=bool)
            )
        results['inputs'], results['observed'] = inputs, observed
        results['gt_va'] = store.labels(video_id, clip.start, clip.stop)
        results['valid'] = np.ones(clip.stop - clip.start, dtype=bool)
        return results
