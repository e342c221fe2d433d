"""Any store -> the packed store."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureStore, RunningMoments
from abawfw.datasets.stores.checks import chunks, not_finite, not_finite_message
from abawfw.datasets.stores.npy_file import NpyWriter
from abawfw.datasets.stores.packed.index import INDEX, PackedIndex
from abawfw.datasets.stores.packed.store import PackedStore
from abawfw.datasets.stores.records import NARROW_DTYPES, FeatureInfo, VideoInfo, write_extraction
from abawfw.errors import DataError
from abawfw.files import Replacement, recover
from abawfw.progress import Report, unseen


def pack_store(
    source: FeatureStore,
    root: str | Path,
    features: Sequence[str] | None = None,
    dtype: str = 'float32',
    overwrite: bool = False,
    progress: Report = unseen,
) -> PackedStore:
    """Write a store into the packed layout.

    Everything goes to a temporary folder beside ``root`` that is renamed at the end, so that a folder with
    the final name is complete. What an earlier call that was killed left there is put right.

    Args:
        source: any store.
        root: folder to make.
        features: names of the features to take; None takes all.
        dtype: 'float32' or 'float16'; what is uint8 or float16 in the source stays so.
        overwrite: replace a packed store that lies at ``root``.
        progress: called before each video of each feature with what is done, the videos done and all videos.

    Returns:
        The new store, open.

    Raises:
        DataError: ``root`` exists and must not be replaced; an unknown feature; NaN or infinity in a feature;
            a value too large for float16; damaged or disagreeing sources; a disk that cannot be written.

    >>> from abawfw.datasets import open_store
    >>> pack_store(open_store('data/demo'), 'data/packed', features=['egemaps']).feature_names()
    ['egemaps']
    """
    root = Path(os.path.abspath(root))
    _check_destination(root, overwrite)
    names = list(dict.fromkeys(features if features is not None else source.features()))
    infos = {}
    for name in names:
        info = source.feature(name)
        infos[name] = FeatureInfo(info.dims, info.dtype if info.dtype in NARROW_DTYPES else dtype)
    try:
        with Replacement(root, folder=overwrite) as temporary:
            temporary.mkdir()
            checksums = {'labels': _write_labels(source, temporary)}
            for name, info in infos.items():
                checksums |= _write_feature(source, temporary, name, info, progress)
            if times := _write_times(source, temporary):
                checksums['times'] = times
            masked = frozenset(name for name in infos if f'valid_{name}' in checksums)
            index = PackedIndex(
                source.videos(), infos, masked, str(source.root), 'times' in checksums, checksums
            )
            (temporary / INDEX).write_text(json.dumps(index.to_json(), indent=1), encoding='utf-8')
            if kept := {n: s for n, s in source.extraction.items() if n in infos or n in ('faces', 'speech')}:
                write_extraction(temporary, kept)
    except OSError as error:
        if not overwrite and root.exists():  # made by another process meanwhile
            raise DataError(
                f'{root}: exists now: it was made while this was packed; it is left as it is'
            ) from None
        raise DataError(f'{root}: cannot be written: {error}; nothing is left behind, try again') from error
    return PackedStore(root)


def _check_destination(root: Path, overwrite: bool) -> None:
    recover(root)
    if not root.exists():
        return
    if not overwrite:
        raise DataError(f'{root}: exists; choose another place, or --overwrite if it is an old packed store')
    PackedIndex.read(root)  # what is no packed store is never removed


class _Array(NpyWriter):
    """An array of the packed store; ``checksums`` has the CRC-32 of the rows of every video so far."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(path, shape, dtype)
        self.checksums: list[int] = []
        self._checksum = 0

    def write(self, rows: np.ndarray) -> None:
        """Append rows of the video in work."""
        typed = np.ascontiguousarray(rows, dtype=self.dtype)
        self._checksum = zlib.crc32(typed.data, self._checksum)
        super().write(typed)

    def end_video(self) -> None:
        """The next rows are those of the next video."""
        self.checksums.append(self._checksum)
        self._checksum = 0


def _write_feature(
    source: FeatureStore,
    folder: Path,
    name: str,
    info: FeatureInfo,
    progress: Report,
) -> dict[str, list[int]]:
    """Write one feature, its moments, and its mask if any frame was not observed; returns their checksums."""
    videos = source.videos()
    frames = sum(video.num_frames for video in videos)
    sums = (len(videos), 2, *info.dims)
    arrays = {
        f'feature_{name}': ((frames, *info.dims), info.dtype),
        f'moments_{name}': (sums, 'float64'),
        f'observed_moments_{name}': (sums, 'float64'),
        f'valid_{name}': ((frames,), 'bool'),
    }
    masked = False
    with ExitStack() as stack:
        outs = {
            array: stack.enter_context(_Array(folder / f'{array}.npy', shape, dtype))
            for array, (shape, dtype) in arrays.items()
        }
        values_out, moments_out, observed_out, mask_out = outs.values()
        for done, video in enumerate(videos):
            progress(f'packing {name}, by videos', done, len(videos))
            valid = source.observed(video.video_id, name, 0, video.num_frames)
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
            for out in outs.values():
                out.end_video()
    if not masked:
        for array in (f'observed_moments_{name}', f'valid_{name}'):
            (folder / f'{array}.npy').unlink()
            del outs[array]
    return {array: out.checksums for array, out in outs.items()}


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


def _write_labels(source: FeatureStore, folder: Path) -> list[int]:
    """Write the labels of all videos; returns their checksums."""
    videos = source.videos()
    frames = sum(video.num_frames for video in videos)
    with _Array(folder / 'labels.npy', (frames, 2), 'float32') as out:
        for video in videos:
            out.write(source.labels(video.video_id, 0, video.num_frames))
            out.end_video()
    return out.checksums


def _write_times(source: FeatureStore, folder: Path) -> list[int]:
    """Write the times of all frames; returns their checksums, none where the frame rates say the same."""
    videos, own = source.videos(), False
    path = folder / 'times.npy'
    with _Array(path, (sum(video.num_frames for video in videos),), 'float64') as out:
        for video in videos:
            times, by_rate = source.times(video.video_id), FeatureStore.times(source, video.video_id)
            if times is not None:
                own |= by_rate is None or not np.array_equal(times, by_rate)
            out.write(np.full(video.num_frames, np.nan) if times is None else times)
            out.end_video()
    if not own:
        path.unlink()
    return out.checksums if own else []
