"""How fast each part of an extraction is, how much memory it takes, and whether times drift."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import ConfigError, DataError
from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors import build_extractor
from abawfw.extraction.extractors.base import AudioExtractor
from abawfw.extraction.extractors.logmel import HOP, RATE, WINDOW
from abawfw.extraction.faces.detectors import MTCNNDetector
from abawfw.extraction.faces.track import FaceView, crops, find_faces
from abawfw.extraction.packages import optional_package
from abawfw.extraction.video.recording import Recording
from benchmarks.timing import Spread, cpu_seconds, in_turn

PERIOD = 15  # seconds of the clip that is repeated
SIZE = (1920, 1080)
FPS = 30
SHORTEST = 0.1  # minutes
OF_AUDIO = ('logmel', 'egemaps', 'mfcc', 'compare')
TOGETHER = ('faces', 'crops', 'sound', 'logmel', 'egemaps')
"""What a video costs whose faces, log-mel and eGeMAPS are extracted; the first two both decode it."""
# in a process of its own, as peak memory never falls; not by getrusage, which counts its parent's as well
EXTRACT = (
    'import re, sys; from pathlib import Path; '
    'from abawfw.extraction.faces.detectors import MTCNNDetector; '
    'from abawfw.extraction.pipeline.extract import extract_video; '
    'from abawfw.extraction.extractors import build_extractor; '
    "names = ('face48', 'logmel', 'egemaps'); "
    'extract_video(sys.argv[1], [build_extractor(n) for n in names], MTCNNDetector(), sys.argv[2]); '
    "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024)"
)


def benchmark_extraction(rounds: int, video: Path, minutes: float = 30, drift: float = 10) -> dict[str, Any]:
    """Extract from 1080p video with audio.

    Args:
        rounds: how often the parts are timed, on one period of the video.
        video: with a face; its first 15 s, or all of it, repeated, enlarged to 1920 x 1080 at 30 frames per
            second and given a made-up voice, are what is extracted from.
        minutes: length of the video whose extraction is timed as a whole, with its peak memory, once.
        drift: minutes over which the times of audio features are compared with those of frames.

    Returns:
        ``realtime``: seconds of video per CPU second, each part alone, and of those in TOGETHER in a row;
        ``long``: factors and peak memory of a whole extraction (face48, logmel, egemaps) of a tenth of the
        length and of the length; ``drift``: see `measure_drift`.

    Raises:
        ConfigError: a length under 0.1 minutes.
    """
    if min(minutes, drift) < SHORTEST:
        raise ConfigError(
            f'{minutes:g} minutes of video, {drift:g} for the drift: both must be at least {SHORTEST:g}'
        )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        clip = root / 'clip.mp4'
        times = [i / FPS for i in range(PERIOD * FPS)]
        write_clip(clip, SIZE, _enlarged(video, len(times)), times, _voice(PERIOD))
        figures: dict[str, Any] = {'realtime': _parts(clip, rounds)}
        figures['long'] = {f'{length:g} min': _long(clip, root, length) for length in (minutes / 10, minutes)}
    return figures | {'drift': {rate: measure_drift(rate, drift) for rate in RATES}}


def _parts(clip: Path, rounds: int) -> dict[str, Any]:
    detector = MTCNNDetector()
    (track,) = find_faces(Recording(clip), detector)
    audio = Audio(clip)
    _ = audio.duration  # decodes it

    def decode() -> None:
        for _ in Recording(clip).frames():
            pass

    actions: dict[str, Callable[[], Any]] = {
        'decode': decode,
        'faces': lambda: find_faces(Recording(clip), detector),
        'crops': lambda: _consume(crops(Recording(clip), [(track, FaceView())])),
        'sound': lambda: Audio(clip).duration,
    }
    for name in OF_AUDIO:
        extractor = audio_extractor(name)
        _consume(extractor.extract(audio, track.times[:1]))  # imports its package
        actions[name] = lambda e=extractor: _consume(e.extract(audio, track.times))  # type: ignore[misc]
    took = in_turn({name: partial(cpu_seconds, action) for name, action in actions.items()}, rounds)
    sums = [sum(took[name][i] for name in TOGETHER) for i in range(rounds)]
    return {
        **{name: Spread.of([PERIOD / s for s in took[name]]) for name in actions},
        'together': Spread.of([PERIOD / s for s in sums]),
    }


def _consume(pieces: Iterator[Any]) -> None:
    for _ in pieces:
        pass


def _long(clip: Path, root: Path, minutes: float) -> dict[str, float]:
    turns = max(1, round(minutes * 60 / PERIOD))
    video, out = root / 'long.mp4', root / f'out{turns}'
    repeat_packets(clip, video, turns, Fraction(PERIOD))
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, '-c', EXTRACT, str(video), str(out)]
    peak = float(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    length = turns * PERIOD
    return {'times realtime': length / wall, 'times realtime of CPU': length / cpu, 'peak MB': peak}


def _voice(seconds: float) -> NDArray[np.float32]:
    """Syllables of a changing pitch at 48 kHz."""
    t = np.arange(round(seconds * AUDIO_RATE)) / AUDIO_RATE
    phase = np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.3 * t)) / AUDIO_RATE
    tone = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 20))
    return np.asarray(0.2 * tone * np.clip(np.sin(2 * np.pi * 1.7 * t) + 0.3, 0, 1), np.float32)


def _enlarged(video: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """The first images of a video, 1920 x 1080; from its start again if it is too short."""
    cv2 = optional_package('cv2', 'features', 'enlarging images')
    done = 0
    while done < count:
        for frame in Recording(video).frames():
            if done == count:
                return
            yield cv2.resize(frame.rgb(), SIZE)
            done += 1


RATES = ('23.976', '29.97', 'variable')
CLICK_EVERY = 5.0  # seconds
CLICK = 1200  # samples, 25 ms: as long as a row of MFCC, which else may lie between two frames
BEFORE = 5  # frames before a flash in whose window of log-mel its click is looked for
FLASH_SIZE = (64, 48)


def measure_drift(rate: str, minutes: float) -> dict[str, float]:
    """Flashes and clicks at the same moments, one every 5 s, and where features of frames have the clicks.

    Log-mel: the centre of the click in the window of the frame five before the flash, counted from that
    frame's time. MFCC: the frame in which it is loudest.

    Args:
        rate: '23.976', '29.97' or 'variable' frames per second.
        minutes: length of the video.

    Returns:
        Largest distances in ms from click to flash over the first and the last minute, and half the shortest
        time between two frames.

    Raises:
        DataError: the flashes are not where they were written.
    """
    written = _frame_times(rate, minutes * 60)
    marked = np.searchsorted(written, np.arange(1, minutes * 60 - 2, CLICK_EVERY))
    audio = np.zeros(round((written[-1] + 1) * AUDIO_RATE), np.float32)
    click = np.random.default_rng(0).uniform(-0.5, 0.5, CLICK)
    for at in np.round(written[marked] * AUDIO_RATE).astype(int):
        audio[at : at + CLICK] = click
    black, white = np.zeros((*FLASH_SIZE[::-1], 3), np.uint8), np.full((*FLASH_SIZE[::-1], 3), 255, np.uint8)
    flashes = set(marked.tolist())
    images = (white if i in flashes else black for i in range(len(written)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'clicks.mp4'
        write_clip(path, FLASH_SIZE, images, written, audio)
        seen = [(frame.time, frame.rgb().mean() > 128) for frame in Recording(path).frames()]
        shown, bright = np.array(seen).T
        of_flash = np.flatnonzero(bright)
        if not np.array_equal(of_flash, marked):
            raise DataError(f'{rate}: {len(of_flash)} flashes seen, {len(marked)} written')
        clicks = Audio(path)
        distances = {
            'logmel': _in_windows(clicks, shown, of_flash),
            'mfcc': _loudest(clicks, shown, of_flash),
        }
    near = round(60 / CLICK_EVERY)
    figures = {'half a frame ms': 500 * float(np.diff(shown).min())}
    for name, off in distances.items():
        figures[f'{name} first minute ms'] = 1e3 * float(np.abs(off[:near]).max())
        figures[f'{name} last minute ms'] = 1e3 * float(np.abs(off[-near:]).max())
    return figures


def _in_windows(audio: Audio, shown: NDArray, of_flash: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from each flash to the click in the log-mel window of a frame before it."""
    times = shown[of_flash - BEFORE]
    windows = np.concatenate(list(audio_extractor('logmel').extract(audio, times))).astype(np.float64)
    energy = (np.exp(windows) - np.exp(windows.min())).sum(axis=2)
    middles = (np.arange(energy.shape[1]) * HOP + WINDOW / 2) / RATE
    heard = times + energy @ middles / energy.sum(axis=1) - CLICK / 2 / AUDIO_RATE
    return np.asarray(heard - shown[of_flash])


def _loudest(audio: Audio, shown: NDArray, of_flash: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from each flash to the frame of the second around it in which c0 is largest."""
    rows = np.concatenate(list(audio_extractor('mfcc').extract(audio, shown)))[:, 12]
    off = []
    for i in of_flash:
        around = np.flatnonzero(np.abs(shown - shown[i]) < 0.5)
        off.append(shown[around[rows[around].argmax()]] - shown[i])
    return np.array(off)


def audio_extractor(name: str) -> AudioExtractor:
    """An audio extractor with its own defaults."""
    extractor = build_extractor(name)
    assert isinstance(extractor, AudioExtractor)
    return extractor


def _frame_times(rate: str, seconds: float) -> NDArray[np.float64]:
    if rate == 'variable':
        steps = np.random.default_rng(0).choice([1 / 60, 1 / 30, 1 / 12], int(seconds * 60))
        times = np.cumsum(steps) - steps[0]
    else:
        times = np.arange(int(seconds * 60)) * 1001 / {'23.976': 24000, '29.97': 30000}[rate]
    return np.asarray(times[times < seconds])


CLOCK = 90000  # ticks per second
AUDIO_RATE = 48000
BLOCK = 1024  # samples of an audio packet


def write_clip(
    path: Path,
    size: tuple[int, int],
    images: Iterable[NDArray[np.uint8]],
    times: Iterable[float],
    samples: NDArray[np.float32],
) -> None:
    """Write h264 and aac.

    Args:
        path: where to, .mp4.
        size: width and height, both even.
        images: (height, width, 3) RGB each.
        times: seconds at which each is shown.
        samples: (samples,) of audio at 48 kHz within [-1, 1].
    """
    av = _av()
    with av.open(str(path), 'w') as file:
        video, track = file.add_stream('libx264', rate=30), file.add_stream('aac', rate=AUDIO_RATE)
        track.codec_context.layout = 'mono'
        video.width, video.height = size
        video.pix_fmt = 'yuv420p'
        video.codec_context.time_base = Fraction(1, CLOCK)
        video.options = {'preset': 'ultrafast', 'crf': '23', 'bf': '0'}
        for image, time in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts, frame.time_base = round(time * CLOCK), Fraction(1, CLOCK)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for k in range(0, len(samples), BLOCK):
            block = av.AudioFrame.from_ndarray(samples[None, k : k + BLOCK], format='fltp', layout='mono')
            block.sample_rate, block.pts, block.time_base = AUDIO_RATE, k, Fraction(1, AUDIO_RATE)
            file.mux(track.encode(block))
        file.mux(track.encode(None))


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
