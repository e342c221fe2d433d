"""Features that come every 10 ms, looked up at the times of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from abawfw.features.extractors.base import BLOCK
from abawfw.features.sound import RATE, Sound

PER_SECOND = 100
HOP = RATE // PER_SECOND
SECONDS = 30
"""Of sound at a time. Chunks lie alike whatever the frame rate: a value depends on sound and time alone."""


def rows_at(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,): the 10 ms step nearest to each of (n,) times in seconds, the earlier one of two.

    A step of 1 / fps would drift: openSMILE rounds it to whole samples. Of two equally near steps the
    reference's log-mel takes the earlier one as well, by rounding errors (at 24 fps).
    """
    return np.ceil(times * PER_SECOND - 0.5 - 1e-9).astype(np.int64)


def chunked_rows(
    sound: Sound,
    times: NDArray[np.float64],
    analyse: Callable[[NDArray[np.float32]], NDArray],
    before: int,
    after: float,
    *,
    edge: bool = False,
) -> Iterator[tuple[NDArray, NDArray[np.int64]]]:
    """Analyse sound chunk by chunk and say which rows the frames take.

    Args:
        sound: with at least one sample.
        times: (n,) seconds within the sound, in order.
        analyse: samples (m,) to rows, the first one at the first sample and one every 10 ms.
        before: seconds of sound that it needs before a row to give what it gives on the whole sound.
        after: the same after a row.
        edge: repeat the last sample after the end of the sound; otherwise zeros.

    Yields:
        Rows of a chunk, and (k,) which of them the next k frames take; k is at most 1000.
    """
    rows = rows_at(times)
    chunk_of = rows // (SECONDS * PER_SECOND)
    for chunk in np.unique(chunk_of):
        start = int(chunk) * SECONDS
        ahead = min(before, start)
        stop = min((start + SECONDS) * RATE, sound.num_samples)
        # a row more: the last frame may round up
        samples = sound.read((start - ahead) * RATE, stop + round(after * RATE) + HOP, edge=edge)
        found = analyse(samples)[ahead * PER_SECOND :]
        taken = rows[chunk_of == chunk] - start * PER_SECOND
        for first in range(0, len(taken), BLOCK):
            yield found, taken[first : first + BLOCK]
