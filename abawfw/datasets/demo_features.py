"""Features of the demo data, from which its labels can be learnt; named as real feature sets, but smaller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.demo_labels import slow_noise


class Sense(NamedTuple):
    """How a feature sees the emotion.

    Args:
        dim: Values per frame.
        delay: Frames by which it lags: speech tells later than the face.
        blur: Deviation of what disturbs its view of the emotion for about half a second, against 1.
        bias: Deviation of what disturbs it for the whole video.
        noise: Deviation of the white noise of every value.
        rectified: Whether values are cut at 0, as after the last layer of a network.
        is_face: Whether it is missing where the face is.
    """

    dim: int
    delay: int
    blur: float
    bias: float
    noise: float
    rectified: bool
    is_face: bool


SENSES = {
    'affectnet': Sense(48, 0, 0.8, 0.25, 0.5, rectified=True, is_face=True),
    'vggish': Sense(24, 12, 1.1, 0.35, 0.6, rectified=False, is_face=False),
    'egemaps': Sense(23, 9, 1.3, 0.35, 0.8, rectified=False, is_face=False),
}
NUISANCES = 4
BLUR_FRAMES = 15.0


class Mixer:
    """Fixed random networks, one per feature, from emotion and nuisances to values per frame.

    Args:
        seed: Of the networks: the same for all videos, so that what is learnt on one holds for others.
        senses: The features to make, by name.
    """

    def __init__(self, seed: int, senses: Mapping[str, Sense] = SENSES) -> None:
        self.senses = senses
        rng = np.random.default_rng([seed, len(senses)])
        self._weights = {
            name: (
                rng.standard_normal((2 + NUISANCES, sense.dim)) * 0.6,
                rng.standard_normal(sense.dim) * 0.5,
            )
            for name, sense in senses.items()
        }

    def features(
        self, rng: np.random.Generator, emotion: NDArray[np.float64], observed: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float32]]:
        """Values (frames, dim) of every feature.

        Args:
            rng: Source of disturbances and noise of this video.
            emotion: (frames, 2) of mean 0 and deviation 1 over all videos.
            observed: (frames,) whether there is a face.
        """
        num_frames = len(emotion)
        person = rng.standard_normal(NUISANCES // 2)  # who it is, and how they are recorded
        scene = np.stack([slow_noise(rng, num_frames, 200.0) for _ in range(NUISANCES - len(person))], axis=1)
        nuisances = np.concatenate([np.broadcast_to(person, (num_frames, len(person))), scene], axis=1)
        features = {}
        for name, sense in self.senses.items():
            seen = emotion[np.maximum(np.arange(num_frames) - sense.delay, 0)]
            blur = np.stack([slow_noise(rng, num_frames, BLUR_FRAMES) for _ in range(2)], axis=1)
            seen = seen + sense.blur * blur + sense.bias * rng.standard_normal(2)
            weights, offset = self._weights[name]
            values = np.tanh(0.5 * (np.concatenate([seen, nuisances], axis=1) @ weights + offset)) * 2
            values += sense.noise * rng.standard_normal(values.shape)
            if sense.rectified:
                values = np.maximum(values, 0)
            if sense.is_face:
                values[~observed] = 0
            features[name] = values.astype(np.float32)
        return features


def valid_masks(observed: NDArray[np.bool_]) -> Mapping[str, NDArray[np.bool_]]:
    """Masks (frames,) of the features that need a face."""
    return {name: observed for name, sense in SENSES.items() if sense.is_face}
