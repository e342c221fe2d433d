"""The pictures of a video file, one after the other, each with the time at which it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.errors import DataError
from abawfw.features.frame import Frame
from abawfw.features.packages import optional_package


@dataclass(frozen=True)
class RecordingInfo:
    """What a file states about its pictures before they are decoded.

    Attributes:
        frames: their number; None where the file does not say.
        fps: mean frames per second, for display only: times of frames come from the frames.
        width: of the upright picture, in pixels.
        height: of the upright picture.
        rotation: degrees by which stored pictures are turned counter-clockwise to stand upright.
        sound_streams: number of streams of sound.
    """

    frames: int | None
    fps: float | None
    width: int
    height: int
    rotation: int
    sound_streams: int


class Recording:
    """A video file, opened when its pictures are asked for, and anew each time.

    Frame i is the i-th that is decoded, its time its presentation time stamp. No more than one picture is
    held at a time. `notes` fills while frames are read with whatever is not as it should be: fewer frames
    than the file states, no time stamps, packets that cannot be decoded.

    Args:
        path: the file.

    Attributes:
        damaged: packets that could not be decoded when the frames were last read to the end; their frames
            are missing, others that build on them may be, and nothing tells where.

    Raises:
        DataError: PyAV is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self.damaged = 0
        self._packets = 0  # that were there when the frames were last read to the end
        self._av: Any = optional_package('av', 'features', 'reading videos')

    @cached_property
    def info(self) -> RecordingInfo:
        """What the file states.

        Raises:
            DataError: the file is missing, is no video, or has not a single picture.
        """
        with self._open() as file:
            stream = self._stream(file)
            rate = stream.average_rate
            stated, fps = stream.frames or None, float(rate) if rate else None
            sounds = len(file.streams.audio)
            for frame in self._decoded(file, stream):
                width, height = frame.size
                return RecordingInfo(stated, fps, width, height, frame.rotation, sounds)
        raise DataError(f'{self.path}: has a video stream, but no picture in it can be decoded')

    def frames(self) -> Iterator[Frame]:
        """All frames in the order in which they are shown.

        Raises:
            DataError: the file is missing, is no video, or has not a single picture.
        """
        with self._open() as file:
            stream = self._stream(file)
            stated, count = stream.frames, 0
            for frame in self._decoded(file, stream):
                count += 1
                yield frame
                del frame
        if not count:
            raise DataError(f'{self.path}: has a video stream, but no picture in it can be decoded')
        if stated and count != stated:
            cause = ', it may be cut off' if self._packets < stated else ''
            self.note(f'{count} frames could be decoded, the file states {stated}{cause}')

    def _open(self) -> Any:
        if not self.path.is_file():
            raise DataError(f'{self.path}: no such file')
        if not self.path.stat().st_size:
            raise DataError(f'{self.path}: empty file')
        try:
            return self._av.open(str(self.path))
        except (self._av.error.FFmpegError, OSError) as error:
            raise DataError(f'{self.path}: no video, or a damaged one ({error.strerror})') from error

    def _stream(self, file: Any) -> Any:
        """The first stream of moving pictures."""
        cover = self._av.stream.Disposition.attached_pic
        streams = [s for s in file.streams.video if not s.disposition & cover]
        if not streams:
            kinds = ', '.join(sorted({s.type for s in file.streams})) or 'none'
            raise DataError(f'{self.path}: has no video stream (streams: {kinds})')
        if len(streams) > 1:
            self.note(f'{len(streams)} video streams, the first one is taken')
        # a video per process costs less than threads for one video
        streams[0].codec_context.thread_count = 1
        return streams[0]

    def _decoded(self, file: Any, stream: Any) -> Iterator[Frame]:
        convert = self._av.video.reformatter.VideoReformatter()
        last, ratio = -np.inf, float(stream.sample_aspect_ratio or 1)
        for count, picture in enumerate(self._pictures(file, stream)):
            time = self._time(picture, stream, count)
            if time <= last:
                self.note(f'frame {count} is shown at {time:.3f} s, the one before it at {last:.3f} s')
            if picture.rotation % 90:
                self.note(f'turned by {picture.rotation} degrees: taken to the nearest quarter')
            last = time
            yield Frame(count, time, picture, convert, ratio)
            del picture

    def _pictures(self, file: Any, stream: Any) -> Iterator[Any]:
        """Decoded pictures; packets that cannot be decoded are left out and counted."""
        damaged = there = 0
        packets = file.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except self._av.error.FFmpegError as error:
                self.note(f'reading stopped before the end of the file ({error.strerror})')
                break
            if packet is None:
                break
            there += packet.size > 0  # the last one is empty and asks for what the decoder still holds
            try:
                yield from packet.decode()
            except self._av.error.FFmpegError:
                damaged += 1
        self.damaged, self._packets = damaged, there
        if damaged:
            self.note(f'{damaged} packets of the video could not be decoded: their frames are missing')

    def _time(self, picture: Any, stream: Any, count: int) -> float:
        if picture.pts is not None:
            return float(picture.pts * picture.time_base)
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise DataError(f'{self.path}: frame {count} has no time, and the file states no rate: remux it')
        self.note(f'no presentation times: frame i is taken to be shown at i / {float(rate):g} s')
        return float(count / rate)

    def note(self, text: str) -> None:
        """Add a line to `notes`, once."""
        if text not in self.notes:
            self.notes.append(text)
