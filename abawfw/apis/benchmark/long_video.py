"""Long videos made without encoding all of them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.features.packages import optional_package

CLOCK = 90000  # ticks per second
SOUND_RATE = 48000
BLOCK = 1024  # samples of a packet of sound


def write_clip(
    path: Path,
    size: tuple[int, int],
    pictures: Iterable[NDArray[np.uint8]],
    times: Iterable[float],
    sound: NDArray[np.float32],
) -> None:
    """Write h264 and aac.

    Args:
        path: where to, .mp4.
        size: width and height, both even.
        pictures: (height, width, 3) RGB each.
        times: seconds at which each is shown.
        sound: (samples,) at 48 kHz within [-1, 1].
    """
    av = _av()
    with av.open(str(path), 'w') as file:
        video, audio = file.add_stream('libx264', rate=30), file.add_stream('aac', rate=SOUND_RATE)
        audio.codec_context.layout = 'mono'
        video.width, video.height = size
        video.pix_fmt = 'yuv420p'
        video.codec_context.time_base = Fraction(1, CLOCK)
        video.options = {'preset': 'ultrafast', 'crf': '23', 'bf': '0'}
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            frame.pts, frame.time_base = round(time * CLOCK), Fraction(1, CLOCK)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for k in range(0, len(sound), BLOCK):
            block = av.AudioFrame.from_ndarray(sound[None, k : k + BLOCK], format='fltp', layout='mono')
            block.sample_rate, block.pts, block.time_base = SOUND_RATE, k, Fraction(1, SOUND_RATE)
            file.mux(audio.encode(block))
        file.mux(audio.encode(None))


def repeat_packets(clip: Path, out: Path, times: int, period: Fraction) -> None:
    """Write the packets of a clip again and again, each round later by ``period`` seconds."""
    av = _av()
    with av.open(str(out), 'w') as new:
        streams: dict[int, Any] = {}
        for turn in range(times):
            with av.open(str(clip)) as old:
                for stream in old.streams:
                    if stream.index not in streams:
                        streams[stream.index] = new.add_stream_from_template(stream)
                for packet in old.demux():
                    if packet.dts is None:
                        continue
                    if packet.stream.type == 'audio':
                        # what leads in, and what is over the period, would be there twice
                        late = packet.pts * packet.stream.time_base >= period
                        if late or (turn and packet.pts < 0):
                            continue
                    shift = round(turn * period / packet.stream.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    new.mux(packet)


def _av() -> Any:
    return optional_package('av', 'features', 'making videos')
