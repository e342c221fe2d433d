"""The first stream of sound of a file, decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.features.packages import optional_package

RATE = 16000  # samples per second, what every sound feature here is made from
LONGEST = 3600.0  # seconds of a gap; a longer one is no gap but a wrong time


class SoundStream:
    """Decodes a file's first stream of sound to 16 kHz mono int16, its channels averaged.

    Args:
        path: a video, or a file of sound alone.

    Attributes:
        count: streams of sound in the file.

    Raises:
        DataError: the file is missing or cannot be read, or PyAV is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._av: Any = optional_package('av', 'features', 'reading sound')
        with self._open() as file:
            self.count = len(file.streams.audio)

    def pieces(self, notes: list[str]) -> Iterator[tuple[int | None, NDArray[np.int16]]]:
        """The sound, some at a time.

        Args:
            notes: gets a line for whatever is not as it should be, at the end.

        Yields:
            Place of the first sample on the clock of the file, None if it is not known, and samples (k,).

        Raises:
            DataError: the times of the sound jump.
        """
        damaged = untimed = 0
        end = 0.0
        with self._open() as file:
            stream = file.streams.audio[0]
            stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
            for frame in self._resampled(self._frames(file, stream)):
                if frame is None:
                    damaged += 1
                    continue
                if frame.pts is None:
                    untimed += 1
                    yield None, frame.to_ndarray()[0]
                    continue
                start = float(frame.pts * frame.time_base)
                if start > end + LONGEST:
                    raise DataError(
                        f'{self.path}: its sound jumps from {end:.3f} s to {start:.3f} s; write the file '
                        'anew, for instance with ffmpeg -i OLD -c copy NEW'
                    )
                end = max(end, start + frame.samples / RATE)
                yield round(start * RATE), frame.to_ndarray()[0]
        if damaged:
            notes.append(f'{damaged} damaged packets of sound: left out')
        if untimed:
            notes.append(f'{untimed} pieces of sound without a time: each follows the one before')
        if not untimed and end < stated - 1:
            notes.append(f'sound ends at {end:.2f} s, the file says {stated:.2f} s')

    def _frames(self, file: Any, stream: Any) -> Iterator[Any]:
        """Decoded frames; None for a packet that cannot be decoded."""
        packets = file.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except self._av.error.FFmpegError:
                yield None

    def _resampled(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Frames as 16 kHz mono int16, and any None; a new start where the kind of sound changes."""
        resampler, kind = None, None
        for frame in frames:
            if frame is None:
                yield None
                continue
            found = frame.format.name, frame.layout.name, frame.sample_rate
            if found != kind:
                yield from self._rest(resampler)
                resampler, kind = self._av.AudioResampler(format='s16', layout='mono', rate=RATE), found
            assert resampler is not None
            yield from resampler.resample(frame)
        yield from self._rest(resampler)

    @staticmethod
    def _rest(resampler: Any) -> list[Any]:
        """What a resampler still holds; one that has nothing to do answers None."""
        return [frame for frame in resampler.resample(None) if frame is not None] if resampler else []

    def _open(self) -> Any:
        try:
            return self._av.open(str(self.path))
        except (self._av.error.FFmpegError, OSError) as error:
            raise DataError(f'{self.path}: cannot be read as video or sound: {error.strerror}') from None
