"""Valence and arousal of a video while it is going on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abawfw.apis.frame_pipeline import FramePipeline
from abawfw.apis.trained_run import LoadedRun, load_run
from abawfw.datasets.stores.checks import check_finite
from abawfw.errors import ConfigError, DataError, nearest
from abawfw.models.modalities import to_vectors
from abawfw.structures.va_batch import Frames, places


class VAStream:
    """A trained run that takes a video's features frame by frame, or a few frames at a time.

    What comes out are raw predictions, those of the networks over the whole video as one clip: neither
    averaged over windows nor smoothed, both of which need frames that are still to come. State and time per
    frame do not grow.

    Args:
        run: work_dir of a run, or, with ``checkpoint``, a config file.
        checkpoint: for all targets; otherwise the best one of each.
        device: where to run; single frames of vectors are fastest on a CPU.

    Attributes:
        features: names to be pushed, in the order of the model's inputs.
        input_dims: size of a frame of each, as the networks take it, after cropping.
        targets: columns of what comes out.

    Raises:
        ConfigError: the run needs frames that are still to come; says which part of it, and why.
        CheckpointError: no checkpoint, or one that does not fit the config.
    """

    def __init__(
        self,
        run: str | Path,
        checkpoint: str | Path | None = None,
        device: str | torch.device = 'cpu',
    ) -> None:
        self._run = load_run(run, checkpoint)
        obstacles = run_obstacles(self._run)
        if obstacles:
            raise ConfigError(f'{run} cannot run frame by frame. {"; ".join(obstacles)}')
        self.device = torch.device(device)
        self.input_dims = self._run.input_dims
        self.features = tuple(self.input_dims)
        self.targets = self._run.targets
        self._streams = [EstimatorStream(n.model.to(self.device)) for n in self._run.networks]
        self._pipeline: FramePipeline | None = None
        self._given: tuple[str, ...] = ()
        self._at = 0

    def reset(self) -> None:
        """Start another video."""
        for stream in self._streams:
            stream.reset()
        self._pipeline, self._given, self._at = None, (), 0

    def push(
        self, frames: Mapping[str, np.ndarray], observed: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """Take the next frames of the video.

        Args:
            frames: ``{feature: (frames, *dims)}`` as in a store, before normalisation and cropping. A feature
                that the run calls optional may be omitted, for the whole video.
            observed: ``{feature: (frames,) bool}``, False where there was nothing to see, such as no face;
                features not named are observed. It counts only for runs that were trained with
                ``masked=True``, as in testing. A feature that is pushed has to be observed at some time.

        Returns:
            (frames, targets) float32.

        Raises:
            DataError: a feature is missing, unknown, not finite or of another size; numbers of frames differ;
                the features are not those that the video began with.
        """
        given = tuple(name for name in self.features if name in frames)
        count = self._check(frames, observed or {}, given)
        if not count:
            return np.empty((0, len(self.targets)), np.float32)
        if self._pipeline is None:
            self._pipeline, self._given = frame_pipeline(self._run, given), given
        elif given != self._given:
            raise DataError(
                f'the video began with {", ".join(self._given)} and goes on with {", ".join(given)}: give '
                'the same features for all frames, and say by `observed` where one was missed'
            )
        everywhere = np.ones(count, dtype=bool)
        seen = {name: (observed or {}).get(name, everywhere) for name in given}
        inputs, mask = self._pipeline({name: np.asarray(frames[name]) for name in given}, seen)
        for name, x in inputs.items():
            self._check_size(name, tuple(x.shape[2:]))
        inputs = {name: x.to(self.device) for name, x in inputs.items()}
        mask = mask.to(self.device)
        parts = [
            stream.push(inputs, mask)[:, network.columns]
            for stream, network in zip(self._streams, self._run.networks, strict=True)
        ]
        self._at += count
        va: np.ndarray = torch.cat(parts, dim=1).cpu().numpy()
        return va

    def _check(
        self, frames: Mapping[str, np.ndarray], observed: Mapping[str, np.ndarray], given: tuple[str, ...]
    ) -> int:
        """The number of frames, the same for all features."""
        for name in (*frames, *observed):
            if name not in self.features:
                raise DataError(f'the run has no feature {name!r}: {nearest(name, self.features)}')
        optional = self._run.networks[0].model.optional
        missing = [name for name in self.features if name not in {*given, *optional}]
        if missing or not given:
            raise DataError(f'frame {self._at}: the run needs {", ".join(missing or self.features)}')
        lengths = {name: len(frames[name]) for name in given}
        lengths |= {f'observed of {name}': len(mask) for name, mask in observed.items()}
        count = lengths[given[0]]
        for name, length in lengths.items():
            if length != count:
                raise DataError(
                    f'from frame {self._at} on: {count} frames of {given[0]}, but {length} of {name}'
                )
        for name in given:
            check_finite(np.asarray(frames[name]), name, 'pushed', self._at)
        return count

    def _check_size(self, name: str, found: tuple[int, ...]) -> None:
        dims = self.input_dims[name]
        wanted = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
        if found != wanted:
            raise DataError(f'frame {self._at}: feature {name} is of size {found}, the run needs {wanted}')


def run_obstacles(run: LoadedRun) -> list[str]:
    """Why a run cannot take a video frame by frame: one line per part; none if it can."""
    return [*frame_pipeline(run, tuple(run.input_dims)).obstacles, *stream_obstacles(run.networks[0].model)]


def frame_pipeline(run: LoadedRun, features: tuple[str, ...]) -> FramePipeline:
    """What these features go through before the networks."""
    return FramePipeline(run.cfg.val_dataloader.dataset.pipeline, features, run.fitted)


def stream_obstacles(model: Any) -> list[str]:
    """Why an estimator cannot see a video frame by frame: one line per part; none if it can.

    A part can if it acts on every frame alone, which it says by ``per_frame = True``, or if it has
    ``stream_state(n, device)`` and ``stream(x, mask, state) -> (y, state)``, the mask being where a modality
    was observed (encoders) or which frames exist (contexts). Any other says in ``needs`` what it needs, and
    so does one whose arguments make it look at later frames.
    Backbones see every frame alone by definition.
    """
    parts = {f'encoder of {name}': part for name, part in model.encoders.items()}
    parts |= {'fusion': model.fusion}
    parts |= {f'context {i}': part for i, part in enumerate(model.context)}
    lines = []
    for place, part in (*parts.items(), ('head', model.head)):
        streams = hasattr(part, 'stream') and not hasattr(part, 'needs')
        if getattr(part, 'per_frame', False) or (streams and place not in ('fusion', 'head')):
            continue
        unknown = 'it does not say that it sees no later frames (per_frame, or stream_state and stream)'
        lines.append(f'{place}, {type(part).__name__}: {getattr(part, "needs", unknown)}')
    return lines


class EstimatorStream:
    """One video through an estimator, a few frames at a time.

    The predictions are those of the estimator over the whole video as one clip. A modality that is given
    counts as one that is observed somewhere in the video, as an encoder takes in what is around a missed
    frame; one that never is observed must be omitted, which the model has to allow (``optional``).

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
        valid = torch.ones_like(seen[..., 0])
        frames = Frames(valid, seen, observed_at=places(seen))
        sequences, observed = to_vectors(
            inputs, frames, model.input_dims, dict(model.backbones.items()), model.optional
        )
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
