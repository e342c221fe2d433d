"""Steps of post-processing one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from abawfw.errors import ConfigError, DataError, nearest
from abawfw.evaluation.functional import Moments, moments
from abawfw.evaluation.postprocess.base import Postprocessor
from abawfw.evaluation.postprocess.smoothing import MeanSmoothing
from abawfw.registry import POSTPROCESSORS


class Pipeline:
    """From raw predictions to those that count: steps, then clipping to [-1, 1].

    Args:
        steps: applied in this order; none only clips.
    """

    def __init__(self, steps: Sequence[Postprocessor] = ()) -> None:
        self.steps = tuple(steps)

    @classmethod
    def of(cls, steps: Pipeline | int) -> Pipeline:
        """A pipeline itself, or the mean over a one-sided window in frames."""
        return steps if isinstance(steps, Pipeline) else cls([MeanSmoothing(steps)])

    @classmethod
    def build(cls, configs: Sequence[Mapping[str, Any]], place: str = 'postprocess') -> Pipeline:
        """The pipeline that a config names.

        Args:
            configs: of each step.
            place: of the list in the config, named in errors.

        Raises:
            ConfigError: no such component is registered, or it does not accept a value; all of them, one per
                line.
        """
        POSTPROCESSORS.import_from_location()
        steps, problems = [], []
        for i, config in enumerate(configs):
            try:
                steps.append(_step(config))
            except (ConfigError, TypeError, ValueError) as error:  # as components of the user's may raise
                text = str(error) if isinstance(error, ConfigError) else f'{type(error).__name__}: {error}'
                problems.append(f'{place}[{i}]: {text}')
        if problems:
            raise ConfigError('\n'.join(problems))
        return cls(steps)

    @classmethod
    def by_target(cls, configs: Any, targets: Sequence[str]) -> dict[str, Pipeline]:
        """The pipelines that ``postprocess`` of a config names.

        Args:
            configs: a list of steps for all targets, or one by target.
            targets: which ones.

        Returns:
            By target; without those of which the config says nothing.

        Raises:
            ConfigError: as ``build``, for all targets at once.
        """
        if not isinstance(configs, Mapping):
            return dict.fromkeys(targets, cls.build(configs))
        found, problems = {}, []
        for target in (target for target in targets if target in configs):
            try:
                found[target] = cls.build(configs[target], f'postprocess.{target}')
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ConfigError('\n'.join(problems))
        return found

    @property
    def fitted(self) -> bool:
        """Whether it can be used as it is."""
        return all(step.fitted for step in self.steps)

    @property
    def window(self) -> int | None:
        """The one-sided window, if all it does is a mean over one."""
        only = self.steps[0] if len(self.steps) == 1 else None
        return only.window if isinstance(only, MeanSmoothing) else None

    def __call__(self, pred: Any, faces: Any = None) -> np.ndarray:
        """Process one video, (frames,), and clip; see ``Postprocessor``."""
        return np.clip(self.unclipped(pred, faces), -1.0, 1.0)

    def unclipped(self, pred: Any, faces: Any = None) -> np.ndarray:
        """Process one video, (frames,)."""
        x = np.asarray(pred, dtype=np.float64)
        for step in self.steps:
            x = step(x, faces)
        return x

    def videos(
        self, preds: Mapping[str, Any], faces: Mapping[str, Any] | None = None, clip: bool = True
    ) -> dict[str, np.ndarray]:
        """Process each video.

        Args:
            preds: (frames,) by video.
            faces: where a face was found, (frames,) bool or None by video.
            clip: to [-1, 1] at the end.

        Raises:
            DataError: as ``Postprocessor``, with the name of the video.
        """
        process = self if clip else self.unclipped
        done = {}
        for video, pred in preds.items():
            try:
                done[video] = process(pred, (faces or {}).get(video))
            except DataError as error:
                raise DataError(f'video {video}: {error}') from error
        return done

    def fit(
        self, preds: Mapping[str, Any], labels: Mapping[str, Any], faces: Mapping[str, Any] | None = None
    ) -> Pipeline:
        """The pipeline with each step fitted to what the steps before it make of these videos.

        Args:
            preds: (frames,) by video.
            labels: (frames,) by video, NaN where there is none.
            faces: as in ``videos``.

        Raises:
            DataError: no frame has a label.
        """
        steps: list[Postprocessor] = []
        for step in self.steps:
            if not step.fitted:
                before = Pipeline(steps).videos(preds, faces, clip=False)
                step = step.fit(Moments.pool(moments(labels[video], x) for video, x in before.items()))
            steps.append(step)
        return Pipeline(steps)

    def settings(self) -> list[dict[str, Any]]:
        """What a config says of it."""
        return [step.settings() for step in self.steps]

    def texts(self) -> list[str]:
        """A text per step, with its arguments and what was fitted."""
        return [str(step) for step in self.steps]

    def __str__(self) -> str:
        return ', '.join(self.texts()) or 'as it is'


def _step(config: Mapping[str, Any]) -> Postprocessor:
    known = POSTPROCESSORS.module_dict
    # MMEngine would import and call whatever else is named, and files of runs come from anywhere
    if config.get('type') not in known:
        name = str(config.get('type'))
        raise ConfigError(f'no postprocessor is called {name!r}; {nearest(name, known)}')
    step: Postprocessor = POSTPROCESSORS.build(dict(config))
    return step
