"""In which frames speech is heard: by silero-vad's network, or by energy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors.onnx_network import OnnxNetwork

WINDOW, CONTEXT = 512, 64
"""Samples of a window at 16 kHz, and of the audio before it that the network looks at (silero-vad 5)."""
STATE = (2, 1, 128)
HOP = RATE // 100
LOUDER, QUIETEST, PEAK = 10.0, -50.0, 15.0
"""Decibels: above the background, in dB of full scale, and below the loudest parts; see `louder`."""


class VoiceNetwork(OnnxNetwork):
    """silero-vad's ONNX file of version 5 or later (github.com/snakers4/silero-vad), which the user brings.

    Args:
        file: of the network.
    """

    def __init__(self, file: str) -> None:
        super().__init__('speech.vad', file, 0, None, 'cpu', 1)
        self._feature = 'speech.vad'

    def check(self) -> None:
        """Refuse any other file.

        Raises:
            CheckpointError: it has other inputs or outputs, or gives something else.
        """
        session = self._session
        inputs = {part.name: (part.type, len(part.shape)) for part in session.get_inputs()}
        expected = {
            'input': ('tensor(float)', 2), 'state': ('tensor(float)', 3), 'sr': ('tensor(int64)', 0)
        }  # fmt: skip
        outputs = [part.name for part in session.get_outputs()]
        if inputs != expected or outputs[:2] != ['output', 'stateN']:
            self._refuse(
                f'has the inputs {", ".join(inputs)} and the outputs {", ".join(outputs)}; expected is '
                'silero_vad.onnx of silero-vad 5 or later: inputs input (n, 576), state (2, n, 128) and sr, '
                'outputs output and stateN'
            )
        self.probabilities(np.zeros(WINDOW, np.float32))

    def probabilities(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of speech in each window of 512 of (n,) samples; the last is filled with zeros."""
        count = -(-len(samples) // WINDOW)
        padded = np.zeros((CONTEXT + count * WINDOW,), np.float32)
        padded[CONTEXT : CONTEXT + len(samples)] = samples
        state: Any = np.zeros(STATE, np.float32)
        found = np.zeros(count)
        for k in range(count):
            part = padded[k * WINDOW : (k + 1) * WINDOW + CONTEXT][None]
            try:
                value, state = self._session.run(
                    ['output', 'stateN'], {'input': part, 'state': state, 'sr': np.array(RATE, np.int64)}
                )
            except Exception as error:  # classes of its own, of which none but Exception is a base
                self._refuse(f'fails on {part.shape[1]} samples: {" ".join(str(error).split())[:300]}')
            if value.size != 1 or state.shape != STATE or not 0 <= float(value.reshape(())) <= 1:
                self._refuse(f'gives {value.shape} and a state {state.shape}; expected (1, 1) and {STATE}')
            found[k] = float(value.reshape(()))
        return found


def louder(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where audio may be speech by its energy: (n,) samples to one truth value per 10 ms.

    Louder by 10 dB than the background, which is the tenth percentile, and than -50 dB of full scale; where
    there is speech all the time there is no background: no more than 15 dB below the 95th percentile is asked
    for. Music and noise pass as speech does.
    """
    count = len(samples) // HOP
    power = np.square(samples[: count * HOP].reshape(-1, HOP), dtype=np.float64).mean(1)
    level = 10 * np.log10(power + 1e-12)
    if not count:
        return np.zeros(0, np.bool_)
    background, peak = np.percentile(level, [10, 95])
    return level > max(QUIETEST, min(background + LOUDER, peak - PEAK))


def heard(
    audio: Audio, times: NDArray[np.float64], network: VoiceNetwork | None, threshold: float, pause: float
) -> NDArray[np.bool_]:
    """In which frames speech is heard.

    Args:
        audio: of the video.
        times: (n,) seconds at which each frame is shown.
        network: silero-vad's; None for energy.
        threshold: of its probability.
        pause: seconds; speech so shortly before and after counts as well.
    """
    if not audio.present:
        return np.zeros(len(times), np.bool_)
    samples = audio.read(0, audio.num_samples)
    if network is None:
        is_speech, step = louder(samples), HOP / RATE
    else:
        is_speech, step = network.probabilities(samples) >= threshold, WINDOW / RATE
    counts = np.concatenate([[0], np.cumsum(is_speech)])
    first = np.floor((times - pause) / step).clip(0, len(is_speech)).astype(np.int64)
    last = (np.floor((times + pause) / step) + 1).clip(0, len(is_speech)).astype(np.int64)
    return np.asarray(counts[last] > counts[first]) & audio.covers(times)
