"""Hidden states of wav2vec 2.0 and its relatives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors.base import BLOCK, AudioExtractor
from abawfw.extraction.extractors.hub_model import HubModel
from abawfw.registry import EXTRACTORS

SECONDS = 20  # at a time
CONTEXT = 2  # seconds of context before and after
REACH = 0.5  # seconds from a frame to the farthest state that it takes


@EXTRACTORS.register_module('wav2vec2')
class Wav2Vec2(AudioExtractor):
    """Last hidden states of wav2vec 2.0, HuBERT, WavLM or another model of this build, 50 a second.

    A frame takes the mean of the states that are nearer to its time than to that of any other frame, and the
    nearest one where there is none. The model gets 20 s at a time, with 2 s of context on both sides.

    Args:
        model: folder written by ``save_pretrained`` of transformers, or name on the hub.
        device: where the network runs.
    """

    name = 'wav2vec2'

    def __init__(self, model: str | Path | None = None, device: str = 'cpu') -> None:
        example = 'facebook/wav2vec2-base or facebook/hubert-base-ls960'
        self._hub = HubModel(self.name, model, example, 'AutoFeatureExtractor', device)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of a state, which the model decides."""
        return (int(self._hub.config.hidden_size),)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`."""
        return {**self._hub.settings(), 'seconds': SECONDS, 'context': CONTEXT}

    def check(self) -> None:
        """See `Extractor.check`."""
        self._field_and_step()
        self._hub.check()

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `AudioExtractor.rows`."""
        field, step = self._field_and_step()
        middles = (times[:-1] + times[1:]) / 2
        first = np.concatenate([[-np.inf], middles]).clip(times - REACH)
        last = np.concatenate([middles, [np.inf]]).clip(None, times + REACH)
        chunk_of = (times // SECONDS).astype(int)
        for chunk in np.unique(chunk_of):
            start = max(0, (int(chunk) * SECONDS - CONTEXT) * RATE)
            stop = min((int(chunk + 1) * SECONDS + CONTEXT) * RATE, audio.num_samples)
            states = self._states(audio.read(start, max(stop, start + field)))
            centres = (start + (field - 1) / 2 + step * np.arange(len(states))) / RATE
            frames = np.flatnonzero(chunk_of == chunk)
            for k in range(0, len(frames), BLOCK):
                some = frames[k : k + BLOCK]
                yield _means(states, centres, times[some], first[some], last[some])

    def _states(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(states, dim) of (samples,)."""
        import torch

        prepared = self._hub.prepare(samples, sampling_rate=RATE, return_tensors='pt')
        with torch.inference_mode():
            output = self._hub.model(prepared['input_values'].to(self._hub.model.device))
        return np.asarray(output.last_hidden_state[0].float().cpu().numpy())

    def _field_and_step(self) -> tuple[int, int]:
        """Samples that a state is made from, and from one state to the next."""
        config = self._hub.config
        kernels, strides = getattr(config, 'conv_kernel', None), getattr(config, 'conv_stride', None)
        if not kernels or not strides:
            raise DataError(
                f'feature {self.name!r}: a model of type {config.model_type!r} does not take samples of '
                'audio as wav2vec 2.0 and HuBERT do'
            )
        field = 1 + sum((k - 1) * math.prod(strides[:i]) for i, k in enumerate(kernels))
        return field, math.prod(strides)


def _means(
    states: NDArray[np.float32],
    centres: NDArray[np.float64],
    times: NDArray[np.float64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
) -> NDArray[np.float32]:
    """(n, dim): mean of the states with centres within [first, last), or the state nearest to times."""
    begin, end = np.searchsorted(centres, first), np.searchsorted(centres, last)
    nearest = np.abs(centres[None] - times[:, None]).argmin(axis=1)
    alone = end <= begin
    begin, end = np.where(alone, nearest, begin), np.where(alone, nearest + 1, end)
    return np.stack([states[a:b].mean(axis=0) for a, b in zip(begin, end, strict=True)])
