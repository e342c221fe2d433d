"""Log-mel spectrograms, for networks that start from sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from abawfw.features.extractors.base import SoundExtractor
from abawfw.features.extractors.ten_ms_rows import chunked_rows
from abawfw.features.logmel import BANDS, EXAMPLE, HOP, RATE, WINDOW, mel_frames, mel_windows
from abawfw.features.sound import Sound
from abawfw.registry import EXTRACTORS

AFTER = ((EXAMPLE - 1) * HOP + WINDOW) / RATE  # seconds that a window reaches


@EXTRACTORS.register_module('logmel')
class LogMel(SoundExtractor):
    """.96 s of log-mel spectrogram from the time of each frame on, float16 (docs/tagf.md, Preprocessing).

    Windows start at the 10 ms step nearest to the frame's time; the end is padded with the last sample.
    """

    name = 'logmel'
    dtype = 'float16'

    @property
    def dims(self) -> tuple[int, ...]:
        """Mel frames of a window, mel bands."""
        return (EXAMPLE, BANDS)

    def rows(self, sound: Sound, times: NDArray[np.float64]) -> Iterator[NDArray[np.float16]]:
        """See `SoundExtractor.rows`."""
        for mel, starts in chunked_rows(sound, times, _mel, before=0, after=AFTER, edge=True):
            yield mel_windows(mel, starts)


def _mel(samples: NDArray[np.float32]) -> NDArray[np.float16]:
    return mel_frames(samples.astype(np.float64)).astype(np.float16)
