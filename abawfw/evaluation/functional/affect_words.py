"""Words for regions of the plane of valence and arousal."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SOURCE = (
    'Russell & Mehrabian (1977), Evidence for a three-factor theory of emotions, '
    'Journal of Research in Personality 11, 273-294'
)
"""Mean ratings of 151 terms for emotions: of pleasure, arousal, and dominance, omitted here, from -1 to 1."""
NEUTRAL = 'neutral'
CENTRES = {
    'excited': (0.62, 0.75),
    'happy': (0.81, 0.51),
    'untroubled': (0.79, -0.01),
    'relaxed': (0.68, -0.46),
    'quiet': (0.19, -0.40),
    'fatigued': (-0.18, -0.57),
    'bored': (-0.65, -0.62),
    'sad': (-0.63, -0.27),
    'distressed': (-0.61, 0.28),
    'angry': (-0.51, 0.59),
    'startled': (-0.09, 0.65),
    'surprised': (0.40, 0.67),
    NEUTRAL: (0.0, 0.0),
}
"""Twelve of these terms as (valence, arousal), around the circle of Russell (1980), A circumplex model of
affect, Journal of Personality and Social Psychology 39, 1161-1178; the origin, no term there, is neutral."""


def affect_words(valence: ArrayLike, arousal: ArrayLike) -> NDArray[np.object_]:
    """The word whose centre is nearest to each point, (n,); None where valence or arousal is NaN.

    It names a region of the plane and recognises no emotion: anger and fear, which differ in dominance, lie
    in one place there.

    Args:
        valence: (n,) from -1 to 1.
        arousal: (n,) from -1 to 1.

    >>> list(affect_words([0.9, -0.5, 0.1], [0.4, -0.3, 0.1]))
    ['happy', 'sad', 'neutral']
    """
    points = np.stack([np.asarray(valence, np.float64), np.asarray(arousal, np.float64)], axis=1)
    known = np.asarray(np.isfinite(points).all(axis=1))
    centres = np.array(list(CENTRES.values()))
    nearest = np.square(np.where(known[:, None], points, 0)[:, None] - centres).sum(axis=2).argmin(axis=1)
    words = np.array(list(CENTRES), dtype=object)[nearest]
    words[~known] = None
    return words
