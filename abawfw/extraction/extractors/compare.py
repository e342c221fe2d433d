"""Low-level descriptors of ComParE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.extractors.smile import SmileExtractor
from abawfw.registry import EXTRACTORS

VOICED = 6  # descriptors of the voice, the first ones: F0, voicing, jitter (two), shimmer, harmonicity
REACH = 2  # rows to both sides from which a delta is made


@EXTRACTORS.register_module('compare')
class ComParE(SmileExtractor):
    """The 65 low-level descriptors of ComParE 2016 at the time of each frame, and their deltas.

    Extracted by openSMILE, which is free for research only: see its licence before any commercial use. The
    deltas of the six descriptors of the voice are made here: openSMILE divides them by a sum that grows with
    every row, so they would fade away in the course of a recording.
    """

    name = 'compare'
    analyses = (('ComParE_2016', 'lld'), ('ComParE_2016', 'lld_de'))
    before, after = 5, 1.5  # its auditory spectra are filtered over seconds

    @property
    def dims(self) -> tuple[int, ...]:
        """Descriptors, then as many deltas."""
        return (130,)

    def analyse(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples (m,) to rows (k, 130)."""
        descriptors, deltas = (analysed(samples) for analysed in self.smiles)
        length = min(len(descriptors), len(deltas))  # there are two more deltas
        descriptors, deltas = descriptors[:length], deltas[:length]
        deltas[:, :VOICED] = voiced_deltas(descriptors[:, :VOICED])
        return np.concatenate([descriptors, deltas], axis=1)


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
