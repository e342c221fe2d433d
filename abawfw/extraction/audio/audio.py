"""The audio of a recording on the clock of its images."""

from __future__ import annotations

import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio_stream import RATE, AudioStream
from abawfw.files import temporary_files

MISSING = 0.25
"""Seconds; in a longer gap nothing counts as heard."""
BLOCK = 30 * RATE  # samples of a gap written at a time
OPPOSED = 0.1
"""Fraction of the power of left and right; where their mean has less, one of them is taken instead."""


class Audio:
    """16 kHz mono audio of a recording; sample k is heard at k / 16000 s on the clock of the frames' times.

    The first audio stream is taken, its channels averaged; where left and right are out of phase and their
    mean is nearly silent, the louder of them is taken alone. What is missing at the start or between is
    filled with zeros; audio before time 0 and repeated audio is omitted; see `notes`. The audio is
    decoded when first asked for, to a temporary file of 32 kB a second, so memory does not grow with its
    length; the file goes away with the object.

    Args:
        path: a video, or an audio file.

    Raises:
        DataError: the file is missing, cannot be read, or has audio that cannot be decoded; or PyAV is not
            installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._notes: list[str] = []
        self._gaps: list[tuple[int, int]] = []  # first sample and the one after, of those longer than MISSING
        self._stream = AudioStream(self.path)

    @property
    def present(self) -> bool:
        """Whether there is an audio stream with at least one sample at or after time 0."""
        return self._stream.count > 0 and self.num_samples > 0

    @property
    def num_samples(self) -> int:
        """Samples from time 0 to the end of the audio; 0 without audio."""
        return self._decoded[1]

    @property
    def duration(self) -> float:
        """Seconds from time 0 to the end of the audio; 0 without audio."""
        return self.num_samples / RATE

    @property
    def notes(self) -> list[str]:
        """What is missing or was assumed, a line each; decodes the audio if that was not done yet."""
        _ = self._decoded
        return list(self._notes)

    def notes_for(self, times: NDArray[np.float64]) -> list[str]:
        """`notes`, and how many frames, shown at (n,) times in seconds, lie in gaps or after the end."""
        late = np.asarray(times) >= self.duration
        within, notes = ~self.covers(times) & ~late, self.notes
        if within.any():
            where = f'gaps of more than {MISSING:g} s in the audio'
            notes.append(f'{where}: {int(within.sum())} of {len(times)} frames have no audio features')
        if self.present and late.any():
            end = f'audio ends at {self.duration:.2f} s, the last frame is shown at {float(times[-1]):.2f} s'
            notes.append(f'{end}: {int(late.sum())} of {len(times)} frames have no audio features')
        return notes

    def covers(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,): whether there is audio at each of (n,) times in seconds: before its end, in no long gap.

        A gap, also one before the first sample, is long if it is longer than `MISSING`.
        """
        seconds = np.asarray(times)
        there = seconds < self.duration
        if self._gaps:
            starts, stops = np.array(self._gaps).T / RATE
            gap = np.searchsorted(starts, seconds, side='right') - 1
            there &= (gap < 0) | (seconds >= stops[gap])
        return there

    def read(self, start: int, stop: int, edge: bool = False) -> NDArray[np.float32]:
        """Samples from ``start`` to before ``stop``, which may lie outside of the audio.

        Args:
            start: sample, also below 0, where there are zeros.
            stop: sample, also beyond the end.
            edge: repeat the last sample beyond the end; otherwise zeros.

        Returns:
            (stop - start,) within [-1, 1).
        """
        file, length = self._decoded
        samples = np.zeros(max(0, stop - start), np.float32)
        first, last = min(max(start, 0), length), max(min(stop, length), 0)
        if last > first:
            samples[first - start : last - start] = self._from_file(file, first, last)
        if edge and length and stop > length:
            samples[max(length - start, 0) :] = self._from_file(file, length - 1, length)
        return samples

    def _from_file(self, file: IO[bytes], first: int, last: int) -> NDArray[np.float32]:
        file.seek(2 * first)
        samples = np.frombuffer(file.read(2 * (last - first)), np.int16)
        return samples.astype(np.float32) / np.float32(32768)

    @cached_property
    @temporary_files()
    def _decoded(self) -> tuple[IO[bytes], int]:
        """The samples as int16 in a temporary file without a name, and their number."""
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, file.close)
        if not self._stream.count:
            self._notes.append('no audio')
            return file, 0
        notes: list[str] = []
        length = self._write(file, notes, None)
        if (kept := self._stream.kept) < OPPOSED:
            file.seek(0)
            file.truncate()
            channel, notes = self._stream.louder, []
            length = self._write(file, notes, channel)
            notes.append(
                f'left and right are out of phase, their mean has {kept:.1%} of their power: the '
                f'{("left", "right")[channel]} channel alone is taken'
            )
        self._notes += notes
        if not length:
            self._notes.append('no audio: its stream has no sample')
        return file, length

    def _write(self, file: IO[bytes], notes: list[str], channel: int | None) -> int:
        """Decode the audio to a file: one of two channels, or the mean; returns the number of samples."""
        length = 0
        self._gaps = []
        for gap, samples in self._stream.laid_out(notes, stereo=channel is not None):
            if gap > MISSING * RATE:
                self._gaps.append((length, length + gap))
            for k in range(0, gap, BLOCK):
                file.write(bytes(2 * min(BLOCK, gap - k)))
            file.write(samples[channel or 0].tobytes())
            length += gap + samples.shape[1]
        return length
