"""What a network in an ONNX file gives for the audio around each frame."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from abawfw.components import Count
from abawfw.errors import CheckpointError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors.base import AudioExtractor
from abawfw.extraction.extractors.onnx_network import Columns, OnnxNetwork, Outputs
from abawfw.registry import EXTRACTORS

AT_ONCE = 32  # windows: of 4 s each, 8 MB
Seconds = Annotated[float, Ge(1 / RATE), Le(3600)]
SILENT = 1e-7  # added to the variance, as transformers does for wav2vec 2.0


@EXTRACTORS.register_module('sound_onnx')
class SoundOnnx(AudioExtractor):
    """What a network in an ONNX file gives for the audio around each frame.

    It gets windows of 16 kHz mono audio within [-1, 1], zeros before the start and after the end. Windows are
    centred at every multiple of ``hop``; a frame takes the one that is centred nearest to its time, the
    earlier one of two.

    Args:
        file: the network, whose input is (batch, samples) or (batch, 1, samples).
        seconds: length of a window; None: as the file says.
        hop: seconds from one window to the next.
        normalize: bring each window to mean 0 and variance 1, as most networks like wav2vec 2.0 take it.
        output: name or number of an output, 'penultimate' for what its last layer takes, or a list of these,
            joined.
        columns: of the output that are kept, counted from 0; None: all.
        device: where the network runs.
        threads: of the CPU.
    """

    name = 'sound_onnx'

    def __init__(
        self,
        file: str | Path | None = None,
        seconds: Seconds | None = None,
        hop: Seconds = 0.1,
        normalize: bool = False,
        output: Outputs = 0,
        columns: Columns = None,
        device: str = 'cpu',
        threads: Count = 1,
    ) -> None:
        self._seconds, self._hop, self._normalize, self._output = seconds, hop, normalize, output
        self.network = OnnxNetwork(self.name, file, output, columns, device, threads)

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Extractor.notes`."""
        return self.network.notes

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of a vector, which the network decides."""
        return (self.network.width(self._row),)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`; the network by what is in its file."""
        return {
            'file': self.network.sha256[:16],
            'seconds': self._row[-1] / RATE,
            'hop': self._hop,
            'normalize': self._normalize,
            'output': self._output,
            'columns': self.network.columns,
        }

    def check(self) -> None:
        """See `Extractor.check`."""
        _ = self.dims

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `AudioExtractor.rows`."""
        # a little to the earlier side, as times are rounded
        steps = np.ceil(times / self._hop - 0.5 - 1e-9).astype(np.int64)
        windows, taken = np.unique(steps, return_inverse=True)
        samples = self._row[-1]
        for first in range(0, len(windows), AT_ONCE):
            some = windows[first : first + AT_ONCE]
            starts = np.round(some * self._hop * RATE).astype(np.int64) - samples // 2
            heard = np.stack([audio.read(start, start + samples) for start in starts.tolist()])
            if self._normalize:
                mean, variance = heard.mean(1, keepdims=True), heard.var(1, keepdims=True)
                heard = (heard - mean) / np.sqrt(variance + SILENT)
            found = self.network(heard.reshape(-1, *self._row))
            yield found[taken[(taken >= first) & (taken < first + AT_ONCE)] - first]

    @cached_property
    def _row(self) -> tuple[int, ...]:
        """Shape of a window, as the settings and the file say both.

        Raises:
            CheckpointError: the file takes something else.
        """
        taken = self.network.input
        wrong = f'feature {self.name!r}: {self.network.path}: takes {taken}'
        if len(taken.shape) not in (2, 3) or (len(taken.shape) == 3 and taken.shape[1] != 1):
            raise CheckpointError(f'{wrong}; audio is expected, (batch, samples) or (batch, 1, samples)')
        length = taken.shape[-1]
        samples = None if self._seconds is None else round(self._seconds * RATE)
        if not isinstance(length, int):
            if samples is None:
                raise CheckpointError(f'{wrong}, audio of any length; give seconds=LENGTH of its windows')
            length = samples
        if samples not in (None, length):
            raise CheckpointError(f'{wrong}, {length / RATE:g} s, and seconds={self._seconds} is given')
        return (*(() if len(taken.shape) == 2 else (1,)), length)
