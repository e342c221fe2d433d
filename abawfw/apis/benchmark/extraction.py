"""How fast each part of an extraction is, how much memory it takes, and whether times drift."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.apis.benchmark.long_video import SOUND_RATE, repeat_packets, write_clip
from abawfw.apis.benchmark.sound_drift import RATES, measure_drift, sound_extractor
from abawfw.apis.benchmark.timing import Spread, in_turn
from abawfw.errors import ConfigError
from abawfw.features.detectors import MTCNNDetector
from abawfw.features.face_track import crops, find_faces
from abawfw.features.packages import optional_package
from abawfw.features.recording import Recording
from abawfw.features.sound import Sound

PERIOD = 15  # seconds of the clip that is repeated
SIZE = (1920, 1080)
FPS = 30
SHORTEST = 0.1  # minutes
OF_SOUND = ('logmel', 'egemaps', 'mfcc', 'compare')
TOGETHER = ('faces', 'crops', 'sound', 'logmel', 'egemaps')
"""What a video costs whose faces, log-mel and eGeMAPS are extracted; the first two both decode it."""
# in a process of its own, as peak memory never falls; not by getrusage, which counts its parent's as well
EXTRACT = (
    'import re, sys; from pathlib import Path; '
    'from abawfw.features.detectors import MTCNNDetector; '
    'from abawfw.features.extract import extract_video; '
    'from abawfw.features.extractors import build_extractor; '
    "names = ('face48', 'logmel', 'egemaps'); "
    'extract_video(sys.argv[1], [build_extractor(n) for n in names], MTCNNDetector(), sys.argv[2]); '
    "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024)"
)


def benchmark_extraction(rounds: int, video: Path, minutes: float = 30, drift: float = 10) -> dict[str, Any]:
    """Extract from 1080p video with sound.

    Args:
        rounds: how often the parts are timed, on one period of the video.
        video: with a face; its first 15 s, or all of it, repeated, enlarged to 1920 x 1080 at 30 frames per
            second and given a made-up voice, are what is extracted from.
        minutes: length of the video whose extraction is timed as a whole, with its peak memory, once.
        drift: minutes over which the times of sound features are compared with those of frames.

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
    sound = Sound(clip)
    _ = sound.duration  # decodes it

    def decode() -> None:
        for _ in Recording(clip).frames():
            pass

    actions: dict[str, Callable[[], Any]] = {
        'decode': decode,
        'faces': lambda: find_faces(Recording(clip), detector),
        'crops': lambda: _consume(crops(Recording(clip), track)),
        'sound': lambda: Sound(clip).duration,
    }
    for name in OF_SOUND:
        extractor = sound_extractor(name)
        _consume(extractor.extract(sound, track.times[:1]))  # imports its package
        actions[name] = lambda e=extractor: _consume(e.extract(sound, track.times))  # type: ignore[misc]
    took = in_turn({name: lambda a=action: _cpu_seconds(a) for name, action in actions.items()}, rounds)  # type: ignore[misc]
    sums = [sum(took[name][i] for name in TOGETHER) for i in range(rounds)]
    return {
        **{name: Spread.of([PERIOD / s for s in took[name]]) for name in actions},
        'together': Spread.of([PERIOD / s for s in sums]),
    }


def _consume(pieces: Iterator[Any]) -> None:
    for _ in pieces:
        pass


def _cpu_seconds(action: Callable[[], Any]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


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
    t = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    phase = np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.3 * t)) / SOUND_RATE
    tone = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 20))
    return np.asarray(0.2 * tone * np.clip(np.sin(2 * np.pi * 1.7 * t) + 0.3, 0, 1), np.float32)


def _enlarged(video: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """The first pictures of a video, 1920 x 1080; from its start again if it is too short."""
    cv2 = optional_package('cv2', 'features', 'enlarging pictures')
    done = 0
    while done < count:
        for frame in Recording(video).frames():
            if done == count:
                return
            yield cv2.resize(frame.rgb(), SIZE)
            done += 1
