"""How many of the frames that are computed exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from mmengine.config import Config

from abawfw.datasets.affwild2_lengths import draw_lengths
from abawfw.datasets.clip_dataset import Clip
from abawfw.registry import CLIPS, SAMPLERS

LOADERS = {'train': 'train_dataloader', 'val': 'val_dataloader'}


def clips_of(lengths: Iterable[int], rule: Any) -> SimpleNamespace:
    """What a sampler looks at of a dataset: ``clips`` of videos of these lengths, cut by a clip rule."""
    return SimpleNamespace(
        clips=[
            Clip(video, start, stop, position)
            for video, length in enumerate(lengths)
            for position, (start, stop) in enumerate(rule.cut(length))
        ]
    )


def useful_share(dataset: Any, batches: Iterable[Sequence]) -> float:
    """Frames that exist among the frames computed, where batches are padded to their longest clip."""
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    rows = [[0 if r.filler else lengths[r.clip] for r in batch] for batch in batches]
    computed = [len(batch) * max(lengths[r.clip] for r in batch) for batch in batches]
    return sum(map(sum, rows)) / sum(computed)


def shares_on_affwild2(cfg: Config) -> dict[str, float]:
    """Useful shares of a resolved config in training and evaluation on videos as long as Aff-Wild2's."""
    shares = {}
    for partition, key in LOADERS.items():
        rule = CLIPS.build(cfg[key].dataset.clips.to_dict())
        dataset = clips_of(draw_lengths(partition, cfg.seed), rule)
        context = {'dataset': dataset, 'seed': cfg.seed}
        shares[partition] = useful_share(
            dataset, list(SAMPLERS.build(cfg[key].sampler.to_dict(), default_args=context))
        )
    return shares
