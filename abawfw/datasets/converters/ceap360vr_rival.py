"""What every model of CEAP-360VR must be compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abawfw.datasets.stores import open_store
from abawfw.evaluation.functional import Moments, moments


def stimulus_mean_ccc(root: Path, partition: str = 'val') -> dict[str, float]:
    """CCC of the mean curve of each stimulus over the training participants (docs/your_data.md).

    Scores on this set mostly measure recognising the stimulus and its time course; this rival is told the
    stimulus, which the models are not.

    Args:
        root: store written by the converter; ids are ``PARTICIPANT_STIMULUS``.
        partition: where to measure.

    Returns:
        CCC over all frames of the partition, by target.
    """
    store = open_store(root)
    curves: dict[str, list[np.ndarray]] = {}
    for video in store.videos():
        if video.partition == 'train':
            stimulus = video.video_id.split('_')[1]
            curves.setdefault(stimulus, []).append(store.labels(video.video_id, 0, video.num_frames))
    means = {s: np.mean(labels, axis=0) for s, labels in curves.items()}
    measured = [v for v in store.videos() if v.partition == partition and v.has_labels]
    scores = {}
    for column, target in enumerate(('valence', 'arousal')):
        parts = []
        for video in measured:
            labels = store.labels(video.video_id, 0, video.num_frames)[:, column]
            parts.append(moments(labels, means[video.video_id.split('_')[1]][:, column]))
        scores[target] = Moments.pool(parts).ccc
    return scores
