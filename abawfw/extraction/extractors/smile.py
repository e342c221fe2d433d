"""openSMILE on samples."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors.base import AudioExtractor, chunked_rows
from abawfw.extraction.packages import optional_package


def smile(
    feature: str, feature_set: str | Path, level: str, options: dict[str, str] | None = None
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """An openSMILE analysis of samples (m,) at 16 kHz to rows (k, dims).

    Args:
        feature: that needs it, for the error.
        feature_set: one that comes with openSMILE, or a config file.
        level: 'func', 'lld' or 'lld_de'.
        options: of openSMILE's command line.

    Raises:
        DataError: opensmile is not installed.
    """
    opensmile: Any = optional_package('opensmile', 'features', f'feature {feature!r}')
    # Otherwise its base class looks for its name in all packages that are installed, in every process.
    names: Any = getattr(sys.modules.get('audobject.core.utils'), 'PACKAGES_DISTRIBUTIONS', {})
    names.setdefault('opensmile', ['opensmile'])
    chosen = str(feature_set) if isinstance(feature_set, Path) else opensmile.FeatureSet[feature_set]
    extract = opensmile.Smile(chosen, opensmile.FeatureLevel(level), options=options)

    def analyse(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        # the package casts to int16, where a sample of 1 would become -1
        top = np.float32(32767 / 32768)
        return np.asarray(extract(samples[None].clip(-top, top), RATE)[0].T, np.float32)

    return analyse


class SmileExtractor(AudioExtractor):
    """A feature that openSMILE computes every 10 ms, of which each frame takes the nearest row.

    Attributes:
        analyses: arguments of `smile`, but for the name of the feature.
        before: seconds of audio that a row needs before it.
        after: the same after it.
    """

    analyses: Sequence[tuple[Any, ...]]
    before: int
    after: float

    def check(self) -> None:
        """See `Extractor.check`."""
        optional_package('opensmile', 'features', f'feature {self.name!r}')

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `AudioExtractor.rows`."""
        for found, taken in chunked_rows(audio, times, self.analyse, self.before, self.after):
            yield found[taken]

    def analyse(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Samples (m,) to rows (k, dims)."""
        return self.smiles[0](samples)

    @cached_property
    def smiles(self) -> list[Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
        """The analyses themselves."""
        return [smile(self.name, *of) for of in self.analyses]
