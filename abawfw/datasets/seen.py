"""What data a run sees, in a few digests, to notice that others have taken their place."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abawfw.datasets.transforms.load_predictions import LoadPredictions

if TYPE_CHECKING:
    from abawfw.datasets.clip_dataset import ClipDataset


def data_seen(datasets: Iterable[ClipDataset]) -> dict[str, str]:
    """Digests of the data of a run, the same wherever they lie.

    Labels are read. Of features, which are large, what the store knows counts: their shapes, and checksums
    where it keeps them. Groups and frame rates may be added later, and do not count.

    Args:
        datasets: of training and validation.

    Returns:
        Digests by ``videos`` (names and numbers of frames, by partition), ``labels``, ``shapes`` of features
        and, where there are some, ``checksums`` and ``teacher_predictions``.
    """
    parts: dict[str, list[Any]] = {
        'videos': [],
        'labels': [],
        'shapes': [],
        'checksums': [],
        'teacher_predictions': [],
    }
    for dataset in datasets:
        store = dataset.store
        for video in dataset.videos:
            name, frames = video.video_id, video.num_frames
            parts['videos'].append((dataset.partition, name, frames))
            parts['labels'].append(zlib.crc32(store.labels(name, 0, frames).tobytes()))
            parts['checksums'] += [store.checksum(name, feature) for feature in dataset.features]
        teachers = [t for t in dataset.pipeline if isinstance(t, LoadPredictions)]
        parts['teacher_predictions'] += [teacher.checksum() for teacher in teachers]
        parts['shapes'] += [(feature, tuple(store.feature(feature).dims)) for feature in dataset.features]
    if None in parts['checksums']:
        del parts['checksums']
    if not parts['teacher_predictions']:
        del parts['teacher_predictions']
    return {part: hashlib.sha256(repr(of).encode()).hexdigest()[:16] for part, of in parts.items()}


def other_data(then: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """In what data differ from those that a run saw, as text; '' where in nothing that is known of both."""
    return ', '.join(part for part in now if (then or {}).get(part, now[part]) != now[part])
