"""Low-level descriptors of ComParE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors.base import AudioExtractor, chunked_rows
from abawfw.extraction.extractors.smile import smile
from abawfw.extraction.packages import optional_package
from abawfw.registry import EXTRACTORS

VOICED = 6  # descriptors of the voice, the first ones: F0, voicing, jitter (two), shimmer, harmonicity
REACH = 2  # rows to both sides from which a delta is made

Analysis = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@EXTRACTORS.register_module('compare')
class ComParE(AudioExtractor):
    """The 65 low-level descriptors of ComParE 2016 at the time of each frame, and their deltas.

    Extracted by openSMILE, which is free for research only: see its licence before any commercial use. The
    deltas of the six descriptors of the voice are made here: openSMILE divides them by a sum that grows with
    every row, so they would fade away in the course of a recording.
    """

    name = 'compare'

    @property
    def dims(self) -> tuple[int, ...]:
        """Descriptors, then as many deltas."""
        return (130,)

    def check(self) -> None:
        """See `Extractor.check`."""
        optional_package('opensmile', 'features', f'feature {self.name!r}')

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `AudioExtractor.rows`."""
        # its auditory spectra are filtered over seconds
        for found, taken in chunked_rows(audio, times, self._both, before=5, after=1.5):
            yield found[taken]

    def _both(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        descriptors, deltas = (analyse(samples) for analyse in self._analyses)
        length = min(len(descriptors), len(deltas))  # there are two more deltas
        descriptors, deltas = descriptors[:length], deltas[:length]
        deltas[:, :VOICED] = voiced_deltas(descriptors[:, :VOICED])
        return np.concatenate([descriptors, deltas], axis=1)

    @cached_property
    def _analyses(self) -> tuple[Analysis, Analysis]:
        return smile(self.name, 'ComParE_2016', 'lld'), smile(self.name, 'ComParE_2016', 'lld_de')


def voiced_deltas(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Slopes by regression within voiced stretches.

    Args:
        values: (rows, descriptors); 0 where there is no voice.

    Returns:
        (rows, descriptors) per row: sum of i * (x[t + i] - x[t - i]) over i = 1, 2 for which both are voiced,
        divided by 10; 0 where there is no voice.
    """
    length = len(values)
    padded = np.pad(values, ((REACH, REACH), (0, 0)))
    slopes = np.zeros_like(values)
    for i in range(1, REACH + 1):
        after, before = padded[REACH + i :][:length], padded[REACH - i :][:length]
        slopes += np.where((after != 0) & (before != 0), i * (after - before), 0)
    return np.where(values != 0, slopes / 10, 0).astype(np.float32)
