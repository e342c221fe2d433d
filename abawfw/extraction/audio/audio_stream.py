"""The audio of a file, decoded or as it is stored, on the clock of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.extraction.packages import optional_package
from abawfw.extraction.video.media_file import MediaFile

RATE = 16000  # samples per second, what every audio feature here is made from
SLACK = 0.02
"""Seconds by which the times of packets may be off before they count as a gap: containers round them."""
LONGEST = 3600.0  # seconds of a gap; a longer one is no gap but a wrong time


class AudioStream:
    """The first audio stream of a file that can be decoded.

    Args:
        path: a video, or an audio file.

    Attributes:
        count: audio streams in the file.
        kind: of its codec, such as 'aac'; '' without audio.
        rate: samples per second in the file.
        channels: in the file.

    Raises:
        DataError: the file is missing, cannot be read, or has audio that cannot be decoded; or PyAV is not
            installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind, self.rate, self.channels = '', RATE, 1
        self._choice: list[str] = []
        with MediaFile(path) as file:
            self.count = file.audio_streams
            stream = file.audio(self._choice.append)
            if stream is not None:
                self.kind = stream.codec_context.codec.canonical_name
                self.rate = stream.codec_context.sample_rate
                self.channels = stream.codec_context.layout.nb_channels
        self._av: Any = optional_package('av', 'features', 'reading audio')
        self._products = np.zeros((2, 2))

    def packets(self) -> Iterator[Any]:
        """Packets as they are stored, timed on the clock of the frames; open until the iterator is closed."""
        with MediaFile(self.path) as file:
            stream = file.audio()
            shift = round(file.start / stream.time_base)
            for packet in file.container.demux(stream):
                times = [time - shift for time in (packet.pts, packet.dts) if time is not None]
                if packet.size and times:  # the last one is empty
                    packet.pts, packet.dts = times[0], times[-1]
                    yield packet

    def laid_out(
        self, notes: list[str], rate: int = RATE, stereo: bool = False
    ) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """The decoded audio, piece after piece from time 0 on.

        Args:
            notes: gets a line for every irregularity; complete when the last piece is given.
            rate: samples per second.
            stereo: give two channels; otherwise one, the mean of those in the file.

        Yields:
            Samples missing before the piece, and the piece (channels, k) without what lies before time
            0 or was given already.

        Raises:
            DataError: the times of the audio jump.
        """
        notes += self._choice
        length = 0
        missing, double = _Places(rate), _Places(rate)
        for start, samples in self._pieces(notes, rate, stereo):
            gap = 0 if start is None else start - length
            if length and abs(gap) <= SLACK * rate:
                gap = 0
            if gap > SLACK * rate:
                missing.add(length, gap)
            elif length and gap < 0:
                double.add(length, -gap)
            kept = samples[:, max(0, -gap) :]
            length += max(0, gap) + kept.shape[1]
            yield max(0, gap), kept
        notes += missing.lines('of audio missing', 'zeros instead')
        notes += double.lines('of audio repeated', 'omitted')

    def _pieces(
        self, notes: list[str], rate: int, stereo: bool
    ) -> Iterator[tuple[int | None, NDArray[np.int16]]]:
        """The audio, piece by piece: place of the first sample, None if unknown; and (channels, k)."""
        damaged = untimed = 0
        end = 0.0
        self._products = np.zeros((2, 2))
        with MediaFile(self.path) as file:
            stream, zero = file.audio(), file.start
            stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
            for frame in self._resampled(self._frames(file, stream), rate, stereo):
                if frame is None:
                    damaged += 1
                    continue
                samples = frame.to_ndarray()
                if frame.pts is None:
                    untimed += 1
                    yield None, samples
                    continue
                start = float(frame.pts * frame.time_base - zero)
                if start > end + LONGEST:
                    raise DataError(
                        f'{self.path}: its audio jumps from {end:.3f} s to {start:.3f} s; rewrite the file, '
                        'for instance with ffmpeg -i OLD -c copy NEW'
                    )
                end = max(end, start + frame.samples / rate)
                yield round(start * rate), samples
        if damaged:
            notes.append(f'{damaged} damaged audio packets: omitted')
        if untimed:
            notes.append(f'{untimed} pieces of audio without a time: each follows the one before')
        if not untimed and end < stated - 1:
            notes.append(f'audio ends at {end:.2f} s, the file states {stated:.2f} s')

    def _frames(self, file: MediaFile, stream: Any) -> Iterator[Any]:
        """Decoded frames; None for a packet that cannot be decoded."""
        packets = file.container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                for frame in packet.decode():
                    self._compare(frame)
                    yield frame
            except self._av.error.FFmpegError:
                yield None

    def _compare(self, frame: Any) -> None:
        """Add up the products of left and right with each other."""
        if frame.layout.nb_channels != 2:
            return
        samples = frame.to_ndarray()
        pair = samples if frame.format.is_planar else samples.reshape(-1, 2).T
        if samples.dtype.kind != 'f':
            middle, largest = (128, 128) if samples.dtype == np.uint8 else (0, np.iinfo(samples.dtype).max)
            pair = (pair - np.float32(middle)) / np.float32(largest)
        self._products += pair @ pair.T

    @property
    def kept(self) -> float:
        """Fraction of the power of left and right that their mean has, in what was last decoded.

        1 where they are the same, 1/2 where they have nothing in common or one is silent, 0 where one is the
        other upside down; 1 where there are not two channels, or only silence.
        """
        power = np.trace(self._products)
        return float(self._products.sum() / (2 * power)) if power > 0 else 1.0

    @property
    def louder(self) -> int:
        """0 if left was the louder one in what was last decoded, or as loud, 1 if right."""
        return int(self._products[1, 1] > self._products[0, 0])

    def _resampled(self, frames: Iterable[Any], rate: int, stereo: bool) -> Iterator[Any]:
        """Frames as planar int16, and any None; a new start where the kind of audio changes."""
        resampler, kind = None, None
        layout = 'stereo' if stereo else 'mono'
        for frame in frames:
            if frame is None:
                yield None
                continue
            found = frame.format.name, frame.layout.name, frame.sample_rate
            if found != kind:
                yield from self._rest(resampler)
                resampler, kind = self._av.AudioResampler(format='s16p', layout=layout, rate=rate), found
            assert resampler is not None
            yield from resampler.resample(frame)
        yield from self._rest(resampler)

    @staticmethod
    def _rest(resampler: Any) -> list[Any]:
        """What a resampler still holds; one that has nothing to do answers None."""
        return [frame for frame in resampler.resample(None) if frame is not None] if resampler else []


class _Places:
    """Where something was found, and how much."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.count = self.samples = self.first = 0

    def add(self, at: int, samples: int) -> None:
        """Take note of one."""
        self.first = self.first if self.count else at
        self.count += 1
        self.samples += samples

    def lines(self, what: str, remedy: str) -> list[str]:
        """One line, or none."""
        if not self.count:
            return []
        where = f'at {self.first / self.rate:.3f} s'
        if self.count > 1:
            where = f'in {self.count} places, the first {where}'
        return [f'{self.samples / self.rate:.3f} s {what} {where}: {remedy}']
