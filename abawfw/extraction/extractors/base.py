"""What every extractor does: faces, audio or transcript to one row per frame of the video."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.checks import disorder
from abawfw.errors import DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.faces.track import FaceView

BLOCK = 1000
"""Most rows in a piece of zeros."""


class Extractor(ABC):
    """Makes one feature of a store. Built in no time: networks and packages are loaded when first used.

    Attributes:
        name: of the feature, in stores and on command lines.
        dims: shape of one row.
        dtype: of the rows: 'float32', 'float16' or 'uint8'.
        source: what it is made from: 'face', 'audio' or 'transcript'.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    dtype: str = 'float32'

    @property
    @abstractmethod
    def dims(self) -> tuple[int, ...]:
        """Shape of one row."""

    def settings(self) -> dict[str, Any]:
        """Plain values that decide what comes out; kept in the store, so that a change is noticed."""
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of how it runs here, a line each."""
        return ()

    def check(self) -> None:  # noqa: B027  # many need nothing
        """Say what is missing before hours of work.

        Raises:
            DataError: a package, file or argument is missing.
            CheckpointError: a file of weights is missing or cannot be read.
        """


class FaceExtractor(Extractor):
    """Makes a feature of faces, of each face alone."""

    source = 'face'

    @property
    def view(self) -> FaceView:
        """How the faces that it gets are cut out."""
        return FaceView()

    @abstractmethod
    def extract(self, faces: NDArray[np.uint8]) -> NDArray:
        """One row per face.

        Args:
            faces: (n, side, side, 3) RGB, as `view` says; only frames in which the face was observed.

        Returns:
            (n, *dims).
        """


class AudioExtractor(Extractor):
    """Makes a feature of the audio around or after the time at which each frame is shown."""

    source = 'audio'

    @abstractmethod
    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray]:
        """Rows (k, *dims) in order of times, some at a time.

        Args:
            audio: with at least one sample.
            times: (n,) seconds within the audio, none before the one before it; at least one.
        """

    def extract(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray]:
        """One row per frame; zeros where nothing is heard, see `observed`.

        Args:
            audio: of the video.
            times: (n,) seconds at which each frame is shown (presentation times), in order.

        Yields:
            (k, *dims), in order of times; the k sum to n. Memory does not grow with n.

        Raises:
            DataError: the times are not in order, or the audio cannot be read.
        """
        times = in_order(times)
        observed = self.observed(audio, times)
        if not observed.any():
            for start in range(0, len(times), BLOCK):
                yield np.zeros((min(BLOCK, len(times) - start), *self.dims), self.dtype)
            return
        done = 0
        for rows in self.rows(audio, times.clip(0, (audio.num_samples - 1) / RATE)):
            rows = rows.astype(self.dtype, copy=False)
            silent = ~observed[done : done + len(rows)]
            done += len(rows)
            if silent.any():
                rows = rows.copy()
                rows[silent] = 0
            yield rows

    def observed(self, audio: Audio, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,): False for frames shown when the audio is over or long missing, and for all without audio."""
        return audio.covers(times)


class TranscriptExtractor(Extractor):
    """Makes a feature of the transcript: the words spoken, with their times."""

    source = 'transcript'

    def file(self, video: str) -> Path | None:
        """The file that it reads of a video, by whose content a change is noticed; None where there is none.

        Raises:
            DataError: there is no transcript of this video.
        """
        return None

    @abstractmethod
    def extract(self, video: str, times: NDArray[np.float64]) -> Iterator[NDArray]:
        """One row per frame.

        Args:
            video: name of the video, by which its transcript is found.
            times: (n,) seconds at which each frame is shown, in order.

        Yields:
            (k, *dims), in order of times; the k sum to n.

        Raises:
            DataError: there is no transcript of this video, or it cannot be read.
        """


def in_order(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times as float64.

    Raises:
        DataError: one is not after the one before it, or is no number.
    """
    times = np.asarray(times, np.float64)
    if fault := disorder(times):
        raise DataError(f'{fault}; rewrite the video, for instance with ffmpeg -i OLD NEW')
    return times


PER_SECOND = 100
HOP = RATE // PER_SECOND
SECONDS = 30
"""Of audio at a time. Chunks do not depend on the frame rate: a value depends on audio and time alone."""


def rows_at(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,): the 10 ms step nearest to each of (n,) times in seconds, the earlier one of two.

    A step of 1 / fps would drift: openSMILE rounds it to whole samples. Of two equally near steps the
    reference's log-mel takes the earlier one as well, by rounding errors (at 24 fps).
    """
    return np.ceil(times * PER_SECOND - 0.5 - 1e-9).astype(np.int64)


def chunked_rows(
    audio: Audio,
    times: NDArray[np.float64],
    analyse: Callable[[NDArray[np.float32]], NDArray],
    before: int,
    after: float,
    *,
    edge: bool = False,
) -> Iterator[tuple[NDArray, NDArray[np.int64]]]:
    """Analyse audio chunk by chunk and say which rows the frames take.

    Args:
        audio: with at least one sample.
        times: (n,) seconds within the audio, in order.
        analyse: samples (m,) to rows, the first one at the first sample and one every 10 ms.
        before: seconds of audio that it needs before a row to give what it gives on the whole audio.
        after: the same after a row.
        edge: repeat the last sample after the end of the audio; otherwise zeros.

    Yields:
        Rows of a chunk, and (k,) which of them the next k frames take; k is at most 1000.
    """
    rows = rows_at(times)
    chunk_of = rows // (SECONDS * PER_SECOND)
    for chunk in np.unique(chunk_of):
        start = int(chunk) * SECONDS
        ahead = min(before, start)
        stop = min((start + SECONDS) * RATE, audio.num_samples)
        # a row more: the last frame may round up
        samples = audio.read((start - ahead) * RATE, stop + round(after * RATE) + HOP, edge=edge)
        found = analyse(samples)[ahead * PER_SECOND :]
        taken = rows[chunk_of == chunk] - start * PER_SECOND
        for first in range(0, len(taken), BLOCK):
            yield found, taken[first : first + BLOCK]


KINDS = ('.safetensors', '.bin', '.json', '.txt', '.model')
"""Files of a folder that decide what its model gives: weights, settings, vocabulary."""


def fingerprint(path: Path) -> str:
    """The first 16 hex digits of the SHA-256 of a file, or of what decides about the model of a folder.

    Unlike the path it does not depend on where the file is, only on its content.
    """
    files = sorted(f for f in path.iterdir() if f.suffix in KINDS) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        if path.is_dir():
            digest.update(file.name.encode())
        with file.open('rb') as content:
            digest.update(hashlib.file_digest(content, 'sha256').digest())
    return digest.hexdigest()[:16]
