"""Training videos in which a modality is missing altogether."""

from __future__ import annotations

from abawfw.datasets.clip_dataset import ClipDataset

LISTED = 5
"""Videos that a line names one by one."""


def never_observed(dataset: ClipDataset) -> list[str]:
    """A line for each feature that was never observed in some videos, where the pipeline heeds masks.

    Looks at masks only: a feature that tells by its frames themselves, as pictures without a mask do, is left
    out.
    """
    if not any(getattr(transform, 'masked', False) for transform in dataset.pipeline):
        return []
    lines = []
    for feature in dataset.features:
        names = [
            video.video_id
            for video in dataset.videos
            if dataset.store.knows_observed(video.video_id, feature)
            and not dataset.store.observed(video.video_id, feature, 0, video.num_frames).any()
        ]
        if names:
            listed = ', '.join(names[:LISTED]) + (' ...' if len(names) > LISTED else '')
            lines.append(
                f'masked: in {len(names)} of {len(dataset.videos)} training videos {feature} was never '
                f'observed: {listed}'
            )
    return lines
