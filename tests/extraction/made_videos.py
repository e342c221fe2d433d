"""Small videos with sound, made with PyAV: any times, display matrices, B-frames, odd sizes, odd streams."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

CLOCK = 90000  # ticks per second of the video streams
BLOCK = 1024  # samples per frame of sound


def write_video(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    times: Iterable[float],
    sound: NDArray | Sequence[NDArray] | None = None,
    rate: int = 48000,
    rotation: int = 0,
    *,
    matrix: tuple[float, float, float, float] | None = None,
    b_frames: int = 0,
    crf: int = 18,
    sound_start: float = 0.0,
    sound_codec: str = 'aac',
    front: bool = False,
    pixel_ratio: Fraction | None = None,
    title: str = '',
) -> Path:
    """Write h264 (and sound) to a file whose kind follows from its name: .mp4, .mkv, .h264 (no times), ...

    Args:
        path: where to.
        pictures: (height, width, 3) RGB each, upright as a viewer sees them; all of one size, odd ones too.
        times: seconds at which each picture is shown, increasing.
        sound: (samples,) or (channels, samples) within [-1, 1]; a list of them makes several streams.
        rate: samples per second of the sound.
        rotation: 0, 90, -90 or 180 as PyAV tells it: stored turned, with a flag (.mp4 only).
        matrix: a, b, c, d of the display matrix instead: what is stored at (x, y) is shown at
            (a x + c y, b x + d y), shifted into the picture. Pictures are stored accordingly if that is a
            turn by quarters or a flip, else as they are.
        b_frames: up to this many between two others, so packets are not in the order of display.
        crf: quality; the lower the better.
        sound_start: time in seconds of the first sample.
        sound_codec: 'aac', or 'pcm_s16le' in a .mkv for sound that comes back as it was.
        front: index before the data, so that a file cut off can still be opened (.mp4).
        pixel_ratio: width of a pixel over its height; the pictures are stored as they are.
        title: of the file.

    Returns:
        path.
    """
    streams = [] if sound is None else [sound] if isinstance(sound, np.ndarray) else list(sound)
    options = {'movflags': 'faststart'} if front else {}
    if rotation:
        cos, sin = {90: (0, -1), -90: (0, 1), 180: (-1, 0)}[rotation]
        matrix = cos, sin, -sin, cos
    with av.open(str(path), 'w', options=options) as file:
        if title:
            file.metadata['title'] = title
        video = None
        channels = [np.atleast_2d(samples).astype(np.float32) for samples in streams]
        encoders = [_sound_stream(file, sound_codec, rate, len(samples)) for samples in channels]
        for picture, time in zip(pictures, times, strict=True):
            stored = picture if matrix is None else _stored(picture, *matrix)
            if video is None:
                video = _video_stream(file, *stored.shape[:2], b_frames, crf)
                if pixel_ratio is not None:
                    video.codec_context.sample_aspect_ratio = pixel_ratio
            frame = av.VideoFrame.from_ndarray(stored, format='rgb24')
            frame.pts, frame.time_base = round(time * CLOCK), Fraction(1, CLOCK)
            file.mux(video.encode(frame))
        if video is not None:
            file.mux(video.encode(None))
        for encoder, samples in zip(encoders, channels, strict=True):
            _write_sound(file, encoder, samples, rate, round(sound_start * rate))
    if matrix is not None:
        _flag_matrix(path, *matrix)
    return path


def noisy(path: Path) -> Path:
    """A second that hardly compresses, with its index in front: half of the file is half of the frames."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), dtype=np.uint8)
    return write_video(path, noise, constant_rate(30), front=True)


def damaged(path: Path) -> Path:
    """The same, zeroes in its middle."""
    content = bytearray(noisy(path).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20000] = bytes(20000)
    path.write_bytes(content)
    return path


def write_webm(path: Path, pictures: Sequence[NDArray[np.uint8]], *, live: bool = False) -> Path:
    """VP8 at 30 frames per second in WebM.

    Args:
        path: where to.
        pictures: (height, width, 3) RGB each, all of one size.
        live: as a browser records it: without a duration and an index.
    """
    with av.open(str(path), 'w', container_options={'live': '1'} if live else {}) as file:
        stream = file.add_stream('libvpx', rate=30)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.options = {'deadline': 'realtime', 'cpu-used': '8'}
        for picture in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        file.mux(stream.encode(None))
    return path


def remuxed(
    path: Path,
    *sources: Path,
    change: Callable[[av.Packet], bool] = lambda packet: True,
    later: float = 0.0,
    covers: Sequence[Path] = (),
) -> Path:
    """All streams of some files in one, their packets as they are.

    Args:
        path: where to.
        sources: the files.
        change: called with every packet, which it may change; False leaves it out.
        later: seconds by which everything is.
        covers: those of the sources whose pictures become cover images.
    """
    with av.open(str(path), 'w') as new:
        olds = [av.open(str(source)) for source in sources]
        streams = [{s.index: new.add_stream_from_template(s) for s in old.streams} for old in olds]
        for source, made in zip(sources, streams, strict=True):
            for stream in made.values() if source in covers else ():
                stream.disposition = av.stream.Disposition.attached_pic
        packets = [
            (float(packet.dts * packet.time_base), k, packet)
            for k, old in enumerate(olds)
            for packet in old.demux()
            if packet.dts is not None
        ]
        for _, k, packet in sorted(packets, key=lambda p: p[:2]):
            if change(packet):
                shift = round(later / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[k][packet.stream.index]
                new.mux(packet)
        for old in olds:
            old.close()
    return path


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """The file, with some bytes for others of the same number, wherever they stand."""
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def write_sound(path: Path, sound: NDArray, rate: int = 48000, codec: str = 'aac') -> Path:
    """A file of sound alone."""
    with av.open(str(path), 'w') as file:
        samples = np.atleast_2d(sound).astype(np.float32)
        _write_sound(file, _sound_stream(file, codec, rate, len(samples)), samples, rate, 0)
    return path


def constant_rate(count: int, fps: float | Fraction = 30) -> list[float]:
    """Times of ``count`` frames."""
    return [float(i / fps) for i in range(count)]


def plain(count: int, size: tuple[int, int] = (96, 64)) -> list[NDArray[np.uint8]]:
    """Pictures (width, height) whose two halves are of the greys that tell the index: see `index_of`."""
    width, height = size
    pictures = np.empty((count, height, width, 3), np.uint8)
    k = np.arange(count).reshape(-1, 1, 1, 1)
    pictures[:, :, : width // 2] = 20 + 30 * (k % 8)
    pictures[:, :, width // 2 :] = 20 + 30 * (k // 8 % 8)
    return list(pictures)


def index_of(picture: NDArray[np.uint8]) -> int:
    """Which of the pictures of `plain` this is, modulo 64."""
    width = picture.shape[1]
    low, high = (
        round((float(np.median(part)) - 20) / 30)
        for part in (picture[:, : width // 2], picture[:, width // 2 :])
    )
    return low + 8 * high


def _video_stream(file: OutputContainer, height: int, width: int, b_frames: int, crf: int) -> av.VideoStream:
    stream = file.add_stream('libx264', rate=30)
    stream.width, stream.height = width, height
    stream.pix_fmt = 'yuv444p' if width % 2 or height % 2 else 'yuv420p'
    stream.codec_context.time_base = Fraction(1, CLOCK)
    stream.codec_context.thread_count = 1
    stream.options = {'preset': 'ultrafast', 'crf': str(crf), 'bf': str(b_frames), 'b-adapt': '0'}
    return stream


def _sound_stream(file: OutputContainer, codec: str, rate: int, channels: int) -> av.AudioStream:
    stream = file.add_stream(codec, rate=rate)
    stream.codec_context.layout = 'mono' if channels == 1 else 'stereo'
    if codec.startswith('wma'):
        stream.codec_context.bit_rate = 128000
    return stream


def _write_sound(
    file: OutputContainer, stream: av.AudioStream, samples: NDArray[np.float32], rate: int, start: int
) -> None:
    name = stream.codec_context.layout.name
    kind = stream.codec_context.format.name
    if kind[:3] not in ('s16', 'flt'):
        kind = 'fltp'  # PyAV converts it
    for k in range(0, samples.shape[1], BLOCK):
        block = samples[:, k : k + BLOCK]
        if kind.startswith('s16'):
            block = (np.clip(block, -1, 1) * 32767).round().astype(np.int16)
        if not kind.endswith('p'):
            # interleaved: one row with the channels of each sample side by side
            block = block.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format=kind, layout=name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start + k, Fraction(1, rate)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _stored(picture: NDArray[np.uint8], a: float, b: float, c: float, d: float) -> NDArray[np.uint8]:
    """What is stored so that the picture is shown; the picture itself where nothing could be."""
    if sorted(map(abs, (a, b, c, d))) != [0, 0, 1, 1]:
        return picture
    height, width = picture.shape[:2]
    y, x = np.indices((height, width) if a else (width, height))
    across, down = (a * x + c * y).astype(int), (b * x + d * y).astype(int)
    return np.ascontiguousarray(picture[down - down.min(), across - across.min()])


def _flag_matrix(path: Path, a: float, b: float, c: float, d: float) -> None:
    """Write the display matrix of the video track of an .mp4 (ISO 14496-12, tkhd)."""
    content = bytearray(path.read_bytes())
    at = 0
    while (at := content.find(b'tkhd', at) + 4) > 3:
        start = at + (52 if content[at] else 40)
        width, height = (x >> 16 for x in struct.unpack('>2I', content[start + 36 : start + 44]))
        if not width:
            continue  # sound
        x, y = (-min(0, k * width, m * height, k * width + m * height) for k, m in ((a, c), (b, d)))
        entries = [round(65536 * v) for v in (a, b, c, d, x, y)]
        matrix = (*entries[:2], 0, *entries[2:4], 0, *entries[4:], 1 << 30)
        content[start : start + 36] = struct.pack('>9i', *matrix)
    path.write_bytes(content)
