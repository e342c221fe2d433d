"""A video with its face box, moving curves and the plane of valence and arousal beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.files import Replacement

CLOCK = 90000  # ticks per second of the pictures
PLAYED = ('aac', 'mp3', 'ac3', 'eac3', 'opus', 'flac', 'alac')
"""Kinds of sound in MP4 that players know; the format takes others, too."""


class VideoFrame(Protocol):
    """What is needed of a decoded frame; ``features.recording.Frame`` is one."""

    index: int
    time: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""

    def rgb(self, longest: int | None = None) -> NDArray[np.uint8]:
        """The upright picture, (height, width, 3)."""


def write_overlay(
    path: Path,
    frames: Iterable[VideoFrame],
    table: pd.DataFrame,
    boxes: NDArray[np.float32] | None,
    sound: Path | None = None,
) -> list[str]:
    """Write the annotated video (H.264 in MP4), one picture per frame at the time of the frame.

    Args:
        path: file to write; it appears when it is whole.
        frames: of the video, in order.
        table: as ``VAInferencer`` gives it, one row per frame, with times.
        boxes: (frames, 4) left, top, right, bottom of the face, NaN where there is none; None where none was
            looked for.
        sound: file whose first stream of sound is copied.

    Returns:
        Notes: what was done to the sound.

    Raises:
        DataError: the video has another number of frames than the table, or PyAV is not installed.
        OSError: the file cannot be written.
    """
    av = _av()
    notes: list[str] = []
    try:
        with Replacement(path) as temporary, av.open(str(temporary), 'w', format='mp4') as out:
            video = _video_stream(out)
            packets = _Sound(av, sound, out, notes) if sound is not None else None
            for picture in _pictures(av, frames, table, boxes):
                out.mux(video.encode(picture))
                if packets is not None:
                    packets.write(float(picture.pts) / CLOCK)
            out.mux(video.encode(None))
            if packets is not None:
                packets.write(np.inf)
                packets.close()
    except av.error.FFmpegError as error:
        raise OSError(f'{path}: cannot be written ({error.strerror})') from error
    return notes


def _pictures(
    av: Any, frames: Iterable[VideoFrame], table: pd.DataFrame, boxes: NDArray[np.float32] | None
) -> Iterator[Any]:
    """Drawn frames as PyAV takes them, their times in order."""
    from abawfw.visualization.overlay_canvas import OverlayCanvas

    canvas, last, count = None, -1, 0
    found = None if boxes is None else table['face'].to_numpy(dtype=bool)
    for frame in frames:
        if count == len(table):
            raise DataError(f'the video has more frames than the table, which has {len(table)} rows')
        canvas = canvas or OverlayCanvas(table, *frame.size)
        box = None if boxes is None or np.isnan(boxes[count]).any() else boxes[count]
        drawn = canvas.draw(count, frame.rgb(), box, None if found is None else bool(found[count]))
        picture = av.VideoFrame.from_ndarray(drawn, format='rgb24')
        # two frames of one time stay two frames
        last = picture.pts = max(round(frame.time * CLOCK), last + 1)
        picture.time_base = Fraction(1, CLOCK)
        yield picture
        count += 1
    if count != len(table):
        raise DataError(f'the video has {count} frames, the table {len(table)} rows')


def _video_stream(out: Any) -> Any:
    from abawfw.visualization.overlay_canvas import SIZE

    stream = out.add_stream('libx264', rate=30)
    stream.width, stream.height = SIZE
    stream.pix_fmt = 'yuv420p'
    stream.codec_context.time_base = Fraction(1, CLOCK)
    stream.options = {'preset': 'veryfast', 'crf': '20'}
    return stream


class _Sound:
    """Copies packets of sound between the pictures, so that a player finds both nearby.

    A kind of sound that few players know in MP4 is encoded anew as AAC, and noted.
    """

    def __init__(self, av: Any, path: Path, out: Any, notes: list[str]) -> None:
        self._file = av.open(str(path))
        self._out = out
        streams = self._file.streams.audio
        self._stream: Any = None
        self._ahead: Any = None
        if not streams:
            notes.append('the video has no sound')
            return
        source = streams[0]
        if len(streams) > 1:
            notes.append(f'the first of {len(streams)} streams of sound is copied')
        kind = source.codec_context.codec.canonical_name
        if kind not in PLAYED:
            notes.append(f'few players know sound of the kind {kind} in MP4: it was encoded anew as AAC')
            self._stream = out.add_stream('aac', rate=source.codec_context.sample_rate)
            # a source may tell the number of channels only, and an encoder needs their layout
            channels = source.codec_context.layout.nb_channels
            self._stream.codec_context.layout = 'mono' if channels == 1 else 'stereo'
            self._packets = self._encoded(source)
        else:
            self._stream = out.add_stream_from_template(source)
            self._packets = (p for p in self._file.demux(source) if p.dts is not None)
        self._ahead = next(self._packets, None)

    def write(self, until: float) -> None:
        """Copy what is heard before a time in seconds."""
        while self._ahead is not None and float(self._ahead.dts * self._ahead.time_base) <= until:
            self._ahead.stream = self._stream
            self._out.mux(self._ahead)
            self._ahead = next(self._packets, None)

    def close(self) -> None:
        """Close the file that the sound comes from."""
        self._file.close()

    def _encoded(self, source: Any) -> Iterator[Any]:
        for frame in self._file.decode(source):
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise DataError('an overlay needs PyAV: pip install -e .[features]') from error
    return av
