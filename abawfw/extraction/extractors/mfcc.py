"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors.base import AudioExtractor, chunked_rows
from abawfw.extraction.extractors.smile import smile
from abawfw.extraction.packages import optional_package
from abawfw.registry import EXTRACTORS

CONFIG = Path(__file__).with_name('mfcc_0_d_a.conf')


@EXTRACTORS.register_module('mfcc')
class MFCC(AudioExtractor):
    """MFCC_0_D_A of HTK: c1 to c12 and c0 of 25 ms from each frame on, their deltas and accelerations.

    Extracted by openSMILE, which is free for research only: see its licence before any commercial use. It
    analyses the audio every 10 ms, and each frame takes the nearest row: a step of 1 / fps (docs/tagf.md,
    Preprocessing), which openSMILE rounds to whole samples, would be off by 11 frames after ten minutes.
    """

    name = 'mfcc'

    @property
    def dims(self) -> tuple[int, ...]:
        """c1 to c12 and c0, their deltas, their accelerations."""
        return (39,)

    def check(self) -> None:
        """See `Extractor.check`."""
        optional_package('opensmile', 'features', f'feature {self.name!r}')

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `AudioExtractor.rows`."""
        # accelerations reach over 4 rows to both sides
        for found, taken in chunked_rows(audio, times, self._analyse, before=1, after=0.2):
            yield found[taken]

    @cached_property
    def _analyse(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        return smile(self.name, CONFIG, 'lld')
