"""Estimators that see a video frame by frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from abawfw.errors import ConfigError, DataError
from abawfw.models.modalities import to_vectors


def stream_obstacles(model: Any) -> list[str]:
    """Why an estimator cannot see a video frame by frame: one line per part; none if it can.

    A part can if it acts on every frame alone, which it says by ``per_frame = True``, or if it has
    ``stream_state(n, device)`` and ``stream(x, mask, state) -> (y, state)``, the mask being where a modality
    was observed (encoders) or which frames exist (contexts). Any other says in ``needs`` what it needs.
    Backbones see every frame alone by definition.
    """
    parts = {f'encoder of {name}': part for name, part in model.encoders.items()}
    parts |= {'fusion': model.fusion}
    parts |= {f'context {i}': part for i, part in enumerate(model.context)}
    lines = []
    for place, part in (*parts.items(), ('head', model.head)):
        if getattr(part, 'per_frame', False) or (hasattr(part, 'stream') and place not in ('fusion', 'head')):
            continue
        unknown = 'it does not say that it sees no later frames (per_frame, or stream_state and stream)'
        lines.append(f'{place}, {type(part).__name__}: {getattr(part, "needs", unknown)}')
    return lines


class EstimatorStream:
    """One video through an estimator, a few frames at a time.

    The predictions are those of the estimator over the whole video as one clip. A modality that is given
    counts as one that is observed somewhere in the video, as an encoder tells of what is around a missed
    frame; one that never is observed must be left away, which the model has to allow (``optional``).

    Args:
        model: an estimator; it is put into evaluation mode.

    Raises:
        ConfigError: the model needs frames that are still to come; says which part, and why.
    """

    def __init__(self, model: Any) -> None:
        obstacles = stream_obstacles(model)
        if obstacles:
            raise ConfigError(f'this model cannot run frame by frame. {"; ".join(obstacles)}')
        self.model = model.eval()
        self.reset()

    def reset(self) -> None:
        """Start another video."""
        self._states: dict[str, Any] = {}
        self._given: tuple[str, ...] | None = None

    @torch.inference_mode()
    def push(self, inputs: dict[str, Tensor], seen: Tensor) -> Tensor:
        """Take the next frames.

        Args:
            inputs: ``{modality: (1, frames, *dims)}``, the same modalities from the first frame to the last.
            seen: (1, frames, modalities of ``inputs``) bool, where each was observed.

        Returns:
            Predictions (frames, targets).

        Raises:
            DataError: other modalities than before, or too few.
        """
        model = self.model
        given = tuple(inputs)
        if self._given not in (None, given):
            raise DataError(
                f'the video began with {", ".join(self._given or ())} and goes on with {", ".join(given)}: '
                'give the same ones for all frames, and say by `observed` where one was missed'
            )
        self._given = given
        sequences, observed = to_vectors(
            inputs, seen, model.input_dims, dict(model.backbones.items()), model.optional
        )
        valid = torch.ones_like(seen[..., 0])
        for name, encoder in model.encoders.items():
            sequences[name] = self._run(f'encoder {name}', encoder, sequences[name], observed[name])
            observed[name] = torch.full_like(valid, name in inputs)
        x = model.fusion(sequences, observed)
        for i, context in enumerate(model.context):
            x = self._run(f'context {i}', context, x, valid)
        va: Tensor = model.head(x.float(), valid).va[0]
        return va

    def _run(self, place: str, part: Any, x: Tensor, mask: Tensor) -> Tensor:
        if getattr(part, 'per_frame', False):
            y: Tensor = part(x, mask)
            return y
        if place not in self._states:
            self._states[place] = part.stream_state(len(x), x.device)
        y, self._states[place] = part.stream(x, mask, self._states[place])
        return y
