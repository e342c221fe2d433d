"""A video with its face box, moving curves and the plane of valence and arousal beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.files import Replacement

CLOCK = 90000  # ticks per second of the images
PLAYED = ('aac', 'mp3', 'ac3', 'eac3', 'opus', 'flac', 'alac')
"""Kinds of audio in MP4 that players know; the format takes others, too."""


AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Samples per second that AAC has."""
SILENCE = 48000  # samples of it that are encoded at a time


class VideoFrame(Protocol):
    """What is needed of a decoded frame; ``extraction.video.recording.Frame`` is one."""

    index: int
    time: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image."""

    def rgb(self, longest: int | None = None) -> NDArray[np.uint8]:
        """The upright image, (height, width, 3)."""


class StoredAudio(Protocol):
    """What is needed of the audio of a video; ``extraction.audio.audio_stream.AudioStream`` is one.

    Attributes:
        count: audio streams in the file.
        kind: codec of the one that is taken.
        rate: its samples per second.
        channels: in it.
    """

    count: int
    kind: str
    rate: int
    channels: int

    def packets(self) -> Iterator[Any]:
        """PyAV's packets as they are stored, on the clock of the frames."""

    def laid_out(self, notes: list[str], rate: int, stereo: bool) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Samples missing before a piece, and the piece (channels, k), from time 0 on."""


def write_overlay(
    path: Path,
    frames: Iterable[VideoFrame],
    table: pd.DataFrame | Mapping[str, pd.DataFrame],
    boxes: NDArray[np.float32] | Mapping[str, NDArray[np.float32]] | None,
    audio: StoredAudio | None = None,
) -> list[str]:
    """Write the annotated video (H.264 in MP4), one image per frame at the time of the frame.

    Args:
        path: file to write; it appears when it is whole.
        frames: of the video, in order.
        table: as ``VAInferencer`` gives it, one row per frame, with times; of several persons by name.
        boxes: (frames, 4) left, top, right, bottom of the face, NaN where there is none; None where none was
            looked for; of several persons by name.
        audio: of the video; copied, or re-encoded if few players know its kind.

    Returns:
        Notes: what was done to the audio.

    Raises:
        DataError: the video has another number of frames than the table, or PyAV is not installed.
        OSError: the file cannot be written.
    """
    av = _av()
    # times of whole streams are stored in ticks of the movie, else of 1 ms
    options = {'movie_timescale': str(CLOCK)}
    notes: list[str] = []
    try:
        with (
            Replacement(path) as temporary,
            av.open(f'file:{temporary}', 'w', format='mp4', container_options=options) as out,
        ):
            video = _video_stream(out)
            packets = None if audio is None else _AudioCopy(av, audio, out, notes)
            for image in _images(av, frames, table, boxes):
                out.mux(video.encode(image))
                if packets is not None:
                    packets.write(float(image.pts) / CLOCK)
            out.mux(video.encode(None))
            if packets is not None:
                packets.write(math.inf)
    except av.error.FFmpegError as error:
        raise OSError(f'{path}: cannot be written ({error.strerror})') from error
    return notes


def _images(
    av: Any,
    frames: Iterable[VideoFrame],
    table: pd.DataFrame | Mapping[str, pd.DataFrame],
    boxes: NDArray[np.float32] | Mapping[str, NDArray[np.float32]] | None,
) -> Iterator[Any]:
    """Drawn frames as PyAV takes them, their times in order."""
    draw, last, count = None, -1, 0
    length = len(table if isinstance(table, pd.DataFrame) else next(iter(table.values())))
    for frame in frames:
        if count == length:
            raise DataError(f'the video has more frames than the table, which has {length} rows')
        draw = draw or _drawing(table, boxes, *frame.size)
        drawn = draw(count, frame.rgb())
        image = av.VideoFrame.from_ndarray(drawn, format='rgb24')
        # two frames of the same time stay two frames
        last = image.pts = max(round(frame.time * CLOCK), last + 1)
        image.time_base = Fraction(1, CLOCK)
        yield image
        count += 1
    if count != length:
        raise DataError(f'the video has {count} frames, the table {length} rows')


def _drawing(table: Any, boxes: Any, width: int, height: int) -> Callable[[int, NDArray[np.uint8]], Any]:
    """What draws the image of a row of the table, given the frame; see `write_overlay`."""
    from abawfw.visualization.overlay_canvas import OverlayCanvas
    from abawfw.visualization.overlay_persons import PersonsCanvas

    if not isinstance(table, pd.DataFrame):
        return PersonsCanvas(table, boxes or {}, width, height).draw_persons
    canvas = OverlayCanvas(table, width, height)
    found = None if boxes is None else table['face'].to_numpy(dtype=bool)

    def draw(row: int, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        box = None if boxes is None or np.isnan(boxes[row]).any() else boxes[row]
        return canvas.draw(row, rgb, box, None if found is None else bool(found[row]))

    return draw


def _video_stream(out: Any) -> Any:
    from abawfw.visualization.overlay_canvas import SIZE

    stream = out.add_stream('libx264', rate=30)
    stream.width, stream.height = SIZE
    stream.pix_fmt = 'yuv420p'
    stream.codec_context.time_base = Fraction(1, CLOCK)
    stream.options = {'preset': 'veryfast', 'crf': '20'}
    return stream


class _AudioCopy:
    """Puts the audio between the images, so that a player finds both nearby.

    A kind of audio that few players know in MP4 is re-encoded as AAC, and noted. It starts at time 0 then,
    with silence up to its own start: what the encoder needs before its first sample lies before time 0, where
    every player omits it.
    """

    def __init__(self, av: Any, source: StoredAudio, out: Any, notes: list[str]) -> None:
        self._av = av
        self._out = out
        self._source = source
        self._notes = notes
        self._ahead: Any = None
        if not source.count:
            notes.append('the video has no audio')
            return
        if source.kind in PLAYED:
            if source.count > 1:
                notes.append(f'one of {source.count} audio streams is copied')
            self._packets = source.packets()
            self._ahead = next(self._packets, None)
            if self._ahead is None:
                notes.append('the video has no audio: its audio stream is empty')
                return
            self._stream = out.add_stream_from_template(self._ahead.stream)
            return
        notes.append(f'few players know audio of the kind {source.kind} in MP4: it was re-encoded as AAC')
        rate = source.rate if source.rate in AAC_RATES else 48000
        self._stream = out.add_stream('aac', rate=rate)
        self._stream.codec_context.layout = 'mono' if source.channels == 1 else 'stereo'
        self._packets = self._encoded(rate, source.channels != 1)
        self._ahead = next(self._packets, None)

    def write(self, until: float) -> None:
        """Write the packets before a time in seconds."""
        while self._ahead is not None and float(self._ahead.dts * self._ahead.time_base) <= until:
            self._ahead.stream = self._stream
            self._out.mux(self._ahead)
            self._ahead = next(self._packets, None)

    def _encoded(self, rate: int, stereo: bool) -> Iterator[Any]:
        done = 0
        for gap, samples in self._source.laid_out(self._notes, rate, stereo):
            for k in range(0, gap, SILENCE):
                silence = np.zeros((len(samples), min(SILENCE, gap - k)), np.int16)
                yield from self._stream.encode(self._frame(silence, rate, done))
                done += silence.shape[1]
            yield from self._stream.encode(self._frame(samples, rate, done))
            done += samples.shape[1]
        yield from self._stream.encode(None)

    def _frame(self, samples: NDArray[np.int16], rate: int, at: int) -> Any:
        layout = 'mono' if len(samples) == 1 else 'stereo'
        frame = self._av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format='s16p', layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        return frame


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise DataError('an overlay needs PyAV: pip install -e .[features]') from error
    return av
