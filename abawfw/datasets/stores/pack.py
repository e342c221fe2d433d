"""Any store -> the packed store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureInfo, FeatureStore, VideoInfo
from abawfw.datasets.stores.checks import chunks, not_finite, not_finite_message
from abawfw.datasets.stores.extraction_file import write_extraction
from abawfw.datasets.stores.npy_writer import NpyWriter
from abawfw.datasets.stores.packed import PackedStore
from abawfw.datasets.stores.packed_index import INDEX, PackedIndex
from abawfw.datasets.stores.running_moments import RunningMoments
from abawfw.errors import DataError


def pack_store(
    source: FeatureStore,
    root: str | Path,
    features: Sequence[str] | None = None,
    dtype: str = 'float32',
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> PackedStore:
    """Write a store into the packed layout.

    Everything goes to a folder ``ROOT.tmp-PID`` that is renamed at the end, so that a folder with the final
    name is complete.

    Args:
        source: any store.
        root: folder to make.
        features: names of the features to take; None takes all.
        dtype: 'float32' or 'float16'; what is uint8 or float16 in the source stays so.
        overwrite: replace a packed store that lies at ``root``.
        progress: called before each video of each feature with the feature, the videos done and all videos.

    Returns:
        The new store, open.

    Raises:
        DataError: ``root`` exists and must not be replaced; an unknown feature; NaN or infinity in a feature;
            a value too large for float16; damaged or disagreeing sources; a disk that cannot be written.
    """
    root = Path(os.path.abspath(root))
    _check_destination(root, overwrite)
    names = list(dict.fromkeys(features if features is not None else source.features()))
    infos = {}
    for name in names:
        info = source.feature(name)
        infos[name] = FeatureInfo(info.dims, info.dtype if info.dtype in ('uint8', 'float16') else dtype)
    temporary = root.with_name(f'{root.name}.tmp-{os.getpid()}')
    try:
        temporary.mkdir(parents=True)
        _write_labels(source, temporary)
        masked = frozenset(n for n in names if _write_feature(source, temporary, n, infos[n], progress))
        timed = _write_times(source, temporary)
        index = PackedIndex(source.videos(), infos, masked, str(source.root), timed)
        with (temporary / INDEX).open('w', encoding='utf-8') as file:
            json.dump(index.to_json(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if kept := {n: s for n, s in source.extraction.items() if n in infos or n == 'faces'}:
            write_extraction(temporary, kept)
        _move(temporary, root)
    except OSError as error:
        raise DataError(f'{root}: cannot be written: {error}; nothing is left behind, try again') from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return PackedStore(root)


def _check_destination(root: Path, overwrite: bool) -> None:
    if not root.exists():
        return
    if not overwrite:
        raise DataError(f'{root}: exists; choose another place, or --overwrite if it is an old packed store')
    PackedIndex.read(root)  # what is no packed store is never removed


def _move(temporary: Path, root: Path) -> None:
    """Give the finished folder its name; an old store goes away only when the new one stands in its place."""
    old = root.with_name(f'{temporary.name}-old')
    if root.exists():
        root.rename(old)
    try:
        temporary.rename(root)
    except OSError:
        if old.exists():
            old.rename(root)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_feature(
    source: FeatureStore,
    folder: Path,
    name: str,
    info: FeatureInfo,
    progress: Callable[[str, int, int], None] | None,
) -> bool:
    """Write one feature, its mask and its moments; returns whether any frame was not observed."""
    videos = source.videos()
    frames = sum(video.num_frames for video in videos)
    mask_file = folder / f'valid_{name}.npy'
    masked = False
    observed_file = folder / f'observed_moments_{name}.npy'
    with ExitStack() as stack:
        values_out = stack.enter_context(
            NpyWriter(folder / f'feature_{name}.npy', (frames, *info.dims), info.dtype)
        )
        moments_out = stack.enter_context(
            NpyWriter(folder / f'moments_{name}.npy', (len(videos), 2, *info.dims), 'float64')
        )
        observed_out = stack.enter_context(NpyWriter(observed_file, (len(videos), 2, *info.dims), 'float64'))
        mask_out = stack.enter_context(NpyWriter(mask_file, (frames,), 'bool'))
        for done, video in enumerate(videos):
            if progress:
                progress(name, done, len(videos))
            valid = source.valid(video.video_id, name, 0, video.num_frames)
            everything, start = RunningMoments(info.dims), 0
            observed = everything if valid.all() else RunningMoments(info.dims)
            for values in _pieces(source, video, name, info):
                values_out.write(values)
                everything.add(values)
                if observed is not everything:
                    observed.add(values[valid[start : start + len(values)]])
                start += len(values)
            for out, moments in ((moments_out, everything), (observed_out, observed)):
                out.write(np.stack([moments.mean, moments.m2])[None])
            mask_out.write(valid)
            masked |= not valid.all()
    if not masked:
        mask_file.unlink()
        observed_file.unlink()
    return masked


def _pieces(source: FeatureStore, video: VideoInfo, name: str, info: FeatureInfo) -> Iterator[np.ndarray]:
    """The frames of a feature of a video in their new type, piece by piece."""
    for start, stop in chunks(video.num_frames, info.dims):
        values = source.read(video.video_id, name, start, stop)
        if not_finite(values).any():
            raise DataError(_count_not_finite(source, video, name, info))
        with np.errstate(over='ignore'):
            packed = values.astype(info.dtype, copy=False)
        too_large = not_finite(packed)
        if too_large.any():
            frame = int(too_large.argmax())
            value = values[frame][~np.isfinite(packed[frame])][0]
            raise DataError(
                f'feature {name!r} of video {video.video_id!r}, frame {start + frame}: {value:g} is too '
                f'large for {info.dtype} (at most {np.finfo(info.dtype).max:g}); pack with --dtype float32'
            )
        yield packed


def _count_not_finite(source: FeatureStore, video: VideoInfo, name: str, info: FeatureInfo) -> str:
    bad = np.concatenate(
        [
            not_finite(source.read(video.video_id, name, start, stop))
            for start, stop in chunks(video.num_frames, info.dims)
        ]
    )
    return not_finite_message(name, video.video_id, int(bad.argmax()), int(bad.sum()))


def _write_labels(source: FeatureStore, folder: Path) -> None:
    videos = source.videos()
    frames = sum(video.num_frames for video in videos)
    with NpyWriter(folder / 'labels.npy', (frames, 2), 'float32') as out:
        for video in videos:
            out.write(source.labels(video.video_id, 0, video.num_frames))


def _write_times(source: FeatureStore, folder: Path) -> bool:
    """Write the times of all frames; returns whether any differ from what the frame rates tell."""
    videos, own = source.videos(), False
    path = folder / 'times.npy'
    with NpyWriter(path, (sum(video.num_frames for video in videos),), 'float64') as out:
        for video in videos:
            times, by_rate = source.times(video.video_id), FeatureStore.times(source, video.video_id)
            if times is not None:
                own |= by_rate is None or not np.array_equal(times, by_rate)
            out.write(np.full(video.num_frames, np.nan) if times is None else times)
    if not own:
        path.unlink()
    return own
