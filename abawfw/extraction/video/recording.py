"""The images of a video file, one after the other, each with the time at which it is shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.extraction.packages import optional_package
from abawfw.extraction.video.media_file import MediaFile

BY_DECODING = ('avi', 'asf')
"""Containers, by PyAV's names, that store when an image is decoded, and not when it is shown."""
TICK = 0.001
"""Seconds from a frame to one that the file says is shown at the same time, or before it."""
BACK = 1.0
"""Seconds; a clock that goes back by more is no rounded one, but another one."""
NEW_TIMES = 'ffmpeg -i OLD -vf setpts=N/FRAME_RATE/TB -fps_mode passthrough -an NEW.mp4'
"""Command that keeps every frame and gives it a time from its number."""


class Recording:
    """A video file, opened each time its images are read.

    Frame i is the i-th that is decoded, its time its presentation time stamp, counted from the earlier of the
    starts of the file's images and audio (`MediaFile.start`). An AVI or WMV stores the order of decoding
    only; there frame i gets the i-th of those times. No more than one image is held at a time. `notes`
    fills while frames are read with every irregularity: fewer frames than the file states, no
    time stamps, packets that cannot be decoded.

    Args:
        path: the file.

    Attributes:
        damaged: packets that could not be decoded when the frames were last read to the end; their frames
            are missing, others that depend on them may be; where is unknown.

    Raises:
        DataError: PyAV is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self.damaged = 0
        self._packets = 0  # that were there when the frames were last read to the end
        self._repeats = False  # whether the stated number counts frames that are shown longer several times
        self._av: Any = optional_package('av', 'features', 'reading videos')

    @cached_property
    def stated(self) -> int | None:
        """Number of frames that the file states; None where it does not say.

        Raises:
            DataError: the file is missing, or is no video.
        """
        with MediaFile(self.path) as file:
            return file.video().frames or None

    def frames(self) -> Iterator[Frame]:
        """All frames in the order in which they are shown.

        Raises:
            DataError: the file is missing, is no video, or has no image; or its time stamps go back.
        """
        with MediaFile(self.path) as file:
            stream = file.video(self.note)
            stated, count = stream.frames, 0
            for frame in self._decoded(file, stream):
                count += 1
                yield frame
                del frame
        if not count:
            raise DataError(f'{self.path}: has a video stream, but no image in it can be decoded')
        if stated and count != stated and not self._repeats:
            cause = ', it may be cut off' if self._packets < stated else ''
            self.note(f'{count} frames could be decoded, the file states {stated}{cause}')

    def _decoded(self, file: MediaFile, stream: Any) -> Iterator[Frame]:
        # a video per process costs less than threads for one video
        stream.codec_context.thread_count = 1
        convert = self._av.video.reformatter.VideoReformatter()
        times, ratio = _Times(self, file, stream), float(stream.sample_aspect_ratio or 1)
        for count, (image, decoded) in enumerate(self._images(file, stream)):
            frame = Frame(count, times.of(image, decoded, count), image, convert, ratio)
            if not frame.orientation.exact:
                self.note('its display matrix is no flip or quarter turn: the nearest of these is taken')
            yield frame
            del frame, image
        times.finish()

    def _images(self, file: MediaFile, stream: Any) -> Iterator[tuple[Any, int | None]]:
        """Decoded images, and the decoding time of as many packets; packets that fail are counted."""
        damaged = there = 0
        last: int | None = None
        packets = file.container.demux(stream)
        slots: deque[int | None] = deque()
        while True:
            try:
                packet = next(packets, None)
            except self._av.error.FFmpegError as error:
                self.note(f'reading stopped before the end of the file ({error.strerror})')
                break
            if packet is None:
                break
            if packet.size:  # the last one is empty and asks for what the decoder still holds
                there += 1
                slots.append(packet.dts)
                last = packet.dts
            try:
                for image in packet.decode():
                    yield image, slots.popleft() if slots else None
                    del image
            except self._av.error.FFmpegError:
                damaged += 1
                if slots:
                    slots.popleft()
        self.damaged, self._packets = damaged, there
        if file.container.format.name == 'avi' and last is not None:
            self._repeats = last + 1 > there  # its times are numbers of chunks, and some of these are empty
        if damaged:
            self.note(f'{damaged} packets of the video could not be decoded: their frames are missing')

    def note(self, text: str) -> None:
        """Add a line to `notes`, once."""
        if text not in self.notes:
            self.notes.append(text)


class _Times:
    """Times of the frames of a recording, each later than the one before.

    Args:
        recording: gets the notes.
        file: that is read.
        stream: of its images.
    """

    def __init__(self, recording: Recording, file: MediaFile, stream: Any) -> None:
        self._recording = recording
        self._start = file.start
        self._base: Fraction = stream.time_base
        self._by_decoding = file.container.format.name in BY_DECODING
        self._rate = stream.average_rate or stream.guessed_rate
        self._states_rate = bool(stream.average_rate)
        self._last = -np.inf
        self._timed = False
        self._untimed = self._late = 0
        self._first = ''  # of those that are late

    def of(self, image: Any, decoded: int | None, count: int) -> float:
        """Seconds at which an image is shown.

        Args:
            image: PyAV's frame.
            decoded: decoding time of the packet of its number.
            count: frames before it.

        Raises:
            DataError: there is no time and no rate, or the time stamps go back.
        """
        path = self._recording.path
        shown = image.pts
        if self._by_decoding and decoded is not None:
            if shown != decoded:
                self._recording.note(
                    'the file stores the order of decoding, not the times of frames: frame i is taken to be '
                    'shown at the i-th of the times of decoding'
                )
            shown = decoded
        if shown is not None:
            self._timed = True
            time = float(shown * self._base - self._start)
        elif not self._rate or (self._timed and not self._states_rate):
            raise DataError(
                f'{path}: frame {count} has no time, and the file states no rate; rewrite it with its '
                'rate, such as 25: ffmpeg -r 25 -i OLD -fps_mode passthrough NEW.mp4'
            )
        else:
            self._untimed += 1
            time = self._last + 1 / float(self._rate) if self._timed else float(count / self._rate)
        if time <= self._last:
            where = f'frame {count} at {time:.3f} s after {self._last:.3f} s'
            if time < self._last - BACK:
                raise DataError(
                    f'{path}: its time stamps go back, {where}, as in files joined from several; split it '
                    f'there, or rewrite it without its audio: {NEW_TIMES}'
                )
            self._late, self._first = self._late + 1, self._first or where
            time = self._last + TICK
        self._last = time
        return time

    def finish(self) -> None:
        """Note what was found in all frames."""
        if self._untimed and not self._timed:
            self._recording.note(
                f'no presentation times: frame i is taken to be shown at i / {float(self._rate):g} s'
            )
        elif self._untimed:
            self._recording.note(
                f'{self._untimed} frames without a time: each is taken to be shown 1 / {float(self._rate):g} '
                's after the one before'
            )
        if self._late:
            self._recording.note(
                f'{self._late} frames are not later than the one before, the first is {self._first}: taken '
                f'to be shown {1000 * TICK:g} ms after it'
            )


STRAIGHT = 1e-3
"""Of a display matrix's entries, what may be off from those of a turn by quarters: they are rounded."""


class Orientation(NamedTuple):
    """How stored images are made upright.

    Attributes:
        mirrored: left and right are swapped first.
        rotation: degrees, 0, 90, 180 or 270, by which they are turned counter-clockwise then.
        exact: whether that is all that the file asks for.
    """

    mirrored: bool = False
    rotation: int = 0
    exact: bool = True

    @classmethod
    def of_matrix(cls, a: float, b: float, c: float, d: float) -> Orientation:
        """What comes nearest to a display matrix.

        Args:
            a: with the others the part of the matrix (ISO/IEC 14496-12, 6.2.2) without the shift: a stored
                pixel at (x, y), counted to the right and down, is shown at (a x + c y, b x + d y).
            b: see ``a``.
            c: see ``a``.
            d: see ``a``.
        """
        across, down = np.hypot(a, b), np.hypot(c, d)
        if not across or not down:  # the image would have no area
            return cls(exact=False)
        a, b, c, d = a / across, b / across, c / down, d / down
        exact = abs(across / down - 1) <= STRAIGHT
        if abs(a) + abs(d) >= abs(b) + abs(c):
            exact = exact and max(abs(b), abs(c)) <= STRAIGHT
            return cls((a < 0) != (d < 0), 180 if d < 0 else 0, bool(exact))
        exact = exact and max(abs(a), abs(d)) <= STRAIGHT
        return cls((b < 0) == (c < 0), 270 if c < 0 else 90, bool(exact))


class Frame:
    """One decoded image, converted only when asked for; drop it before the next one is taken.

    Args:
        index: how many were decoded before it.
        time: seconds at which it is shown.
        image: PyAV's frame.
        convert: PyAV's reformatter.
        ratio: width of a stored pixel over its height; images are given with square ones.
    """

    def __init__(self, index: int, time: float, image: Any, convert: Any, ratio: float = 1.0) -> None:
        self.index = index
        self.time = time
        self._image = image
        self._convert = convert
        self._ratio = ratio

    @cached_property
    def orientation(self) -> Orientation:
        """How it was made upright."""
        return _orientation(self._image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image."""
        size = self._lying
        return size if self.orientation.rotation % 180 == 0 else size[::-1]

    def rgb(self, longest: int | None = None) -> NDArray[np.uint8]:
        """The upright image.

        Args:
            longest: shrink it, if its long side is longer than this.

        Returns:
            (height, width, 3).
        """
        width, height = self._lying
        shrink = min(1.0, longest / max(width, height)) if longest else 1.0
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        # the mean over areas; the faster ways let fine detail alias
        way = 'AREA' if shrink < 1 else None
        stored = self._convert.reformat(self._image, *size, format='rgb24', interpolation=way).to_ndarray()
        if self.orientation.mirrored:
            stored = stored[:, ::-1]
        return np.ascontiguousarray(np.rot90(stored, self.orientation.rotation // 90))

    @property
    def _lying(self) -> tuple[int, int]:
        """Width and height before it is turned."""
        return max(1, round(self._image.width * self._ratio)), self._image.height


def _orientation(image: Any) -> Orientation:
    try:
        matrix = image.side_data.get('DISPLAYMATRIX')
    except ValueError:  # side data of a kind that PyAV does not know: it still gives the rotation
        return Orientation(rotation=round(image.rotation / 90) * 90 % 360, exact=not image.rotation % 90)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5] / 65536
    return Orientation.of_matrix(a, b, c, d)
