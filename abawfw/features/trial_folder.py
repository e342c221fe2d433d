"""Writes the arrays of one trial of a video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.base import FeatureInfo
from abawfw.datasets.stores.checks import not_finite
from abawfw.datasets.stores.labels import NO_LABEL, unlabelled_frames
from abawfw.datasets.stores.npy_writer import NpyWriter, naming, write_rows
from abawfw.datasets.stores.trial_files import LABELS, MASK, TIMES
from abawfw.datasets.stores.trial_recording import TRACK
from abawfw.errors import DataError
from abawfw.features.extractors.base import Extractor, FaceExtractor
from abawfw.features.face_track import FaceTrack

BATCH = 64
"""Faces that an extractor gets at once: 2.4 MB of pictures."""


class TrialFolder:
    """A folder of arrays, one row per frame.

    Args:
        folder: to make.
        times: (frames,) seconds at which each frame is shown.

    Attributes:
        masked: features of which some frames were not observed.
    """

    def __init__(self, folder: Path, times: NDArray[np.float64]) -> None:
        self.folder = folder
        self.masked: set[str] = set()
        self._num_frames = len(times)
        folder.mkdir()
        write_rows(folder / f'{TIMES}.npy', times, FeatureInfo((), 'float64'), TIMES)

    def write_labels(self, labels: NDArray[np.float32]) -> None:
        """Write labels, (frames, 2), NaN where there is none."""
        columns = labels.copy()
        columns[unlabelled_frames(columns)] = NO_LABEL
        write_rows(self.folder / f'{LABELS}.npy', columns, FeatureInfo((2,), 'float32'), 'labels')

    def write_track(self, track: FaceTrack) -> None:
        """Write where the face is and how sure that is."""
        arrays = {name: getattr(track, name) for name in ('boxes', 'points', 'scores', 'found', 'filled')}
        path = self.folder / TRACK
        with naming(path), path.open('wb') as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())  # on the disk before the folder gets its final name, as all else

    def write_faces(
        self,
        extractors: Sequence[FaceExtractor],
        faces: Iterable[tuple[int, NDArray[np.uint8]]],
        observed: NDArray[np.bool_],
    ) -> None:
        """Write the features of faces, all in one pass over them; zeros where no face was observed.

        Args:
            extractors: of faces.
            faces: index of every frame in order, and its aligned face (112, 112, 3).
            observed: (frames,), where there is a face.

        Raises:
            DataError: an extractor gives NaN or rows of another shape, or the faces are more or fewer than
                the frames.
        """
        with ExitStack() as stack:
            outs = [(e, stack.enter_context(self._open(e))) for e in extractors]
            for start, pictures in _batches(faces):
                seen = observed[start : start + len(pictures)]
                if len(seen) < len(pictures):
                    break  # more than there are frames: refused below
                for extractor, out in outs:
                    rows = np.zeros((len(seen), *extractor.dims), extractor.dtype)
                    if seen.any():
                        found = extractor.extract(pictures[seen])
                        rows[seen] = self._checked(extractor, found, start + np.flatnonzero(seen))
                    out.write(rows)
        for extractor, out in outs:
            self._check_count(extractor, out.rows)
            self.write_mask(extractor.name, observed)

    def write(self, extractor: Extractor, rows: Iterable[NDArray]) -> None:
        """Write a feature piece by piece, (k, *dims) each.

        Raises:
            DataError: the pieces hold NaN, have another shape, or do not sum to the number of frames.
        """
        with self._open(extractor) as out:
            for piece in rows:
                out.write(self._checked(extractor, piece, out.rows + np.arange(len(piece))))
        self._check_count(extractor, out.rows)

    def write_mask(self, feature: str, observed: NDArray[np.bool_]) -> None:
        """Write where a feature was observed, (frames,), unless that is everywhere."""
        if not observed.all():
            self.masked.add(feature)
            info = FeatureInfo((), 'bool')
            write_rows(self.folder / f'{feature}{MASK}.npy', observed, info, f'mask of {feature}')

    def _open(self, extractor: Extractor) -> NpyWriter:
        return NpyWriter(self.folder / f'{extractor.name}.npy', (None, *extractor.dims), extractor.dtype)

    def _checked(self, extractor: Extractor, rows: NDArray, frames: NDArray) -> NDArray:
        expected = (len(frames), *extractor.dims)
        if rows.shape != expected or rows.dtype != extractor.dtype:
            raise DataError(
                f'{extractor.name}: gave {rows.dtype} of shape {rows.shape} for {len(frames)} frames, '
                f'expected {extractor.dtype} of {expected}: a fault of this extractor'
            )
        bad = not_finite(rows)
        if bad.any():
            raise DataError(
                f'{extractor.name}: NaN or infinite in {int(bad.sum())} of {len(bad)} rows, first in frame '
                f'{int(frames[bad.argmax()])}; leave this feature out, or this video'
            )
        return rows

    def _check_count(self, extractor: Extractor, rows: int) -> None:
        if rows != self._num_frames:
            raise DataError(
                f'{extractor.name}: {rows} rows for {self._num_frames} frames; is the file in use?'
            )


def _batches(
    faces: Iterable[tuple[int, NDArray[np.uint8]]],
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Index of the first frame, and faces (k, height, width, 3), k at most `BATCH`."""
    pictures: list[NDArray[np.uint8]] = []
    start = 0
    for index, picture in faces:
        if index != start + len(pictures):
            raise DataError(f'frame {index} comes where frame {start + len(pictures)} was expected')
        pictures.append(picture)
        if len(pictures) == BATCH:
            yield start, np.stack(pictures)
            start, pictures = start + BATCH, []
    if pictures:
        yield start, np.stack(pictures)
