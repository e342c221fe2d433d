"""Clips of one length, for models that need it."""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.components import Count
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PadTo:
    """Make shorter clips ``length`` frames long: at the end zeros without label, not valid, not observed.

    Models whose weights belong to one length of the window need it for trials that are shorter
    (docs/tagf.md, Models). Frames that were added are never evaluated.

    Args:
        length: frames of every clip.

    Raises:
        ConfigError: a length below 1, or a clip that is longer.
    """

    changes_values = False

    def __init__(self, length: Count) -> None:
        if length < 1:
            raise ConfigError(f'PadTo(length={length}): a clip has at least one frame')
        self.length = length

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make inputs, labels, valid and observed longer."""
        missing = self.length - len(results['valid'])
        if missing < 0:
            raise ConfigError(
                f'PadTo(length={self.length}): a clip of video {results["video"].video_id!r} has '
                f'{len(results["valid"])} frames; cut clips of at most {self.length}, or pad to more'
            )
        if missing:
            for name in ('inputs', 'observed'):
                results[name] = {f: _padded(values, missing, 0) for f, values in results[name].items()}
            results['valid'] = _padded(results['valid'], missing, False)
            for name in results.keys() & {'gt_va', 'teacher_va'}:
                results[name] = _padded(results[name], missing, np.nan)
        return results


def _padded(values: np.ndarray, missing: int, value: float) -> np.ndarray:
    """(time + missing, *dims) of the same type."""
    return np.concatenate([values, np.full((missing, *values.shape[1:]), value, values.dtype)])
