"""One target of a run: the checkpoint that is best at it, and what it says of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from abawfw.apis.build import build_loader, fitted_of, restore_model
from abawfw.apis.predict import predict
from abawfw.checkpoints import load_checkpoint
from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import ConfigError
from abawfw.evaluation.va_metric import WINDOWS

Curves = dict[str, np.ndarray]


class TrainedTarget:
    """A checkpoint that predicts one target; it is read once, whatever it is asked for.

    Args:
        cfg: resolved config of the run.
        checkpoint: its file.
        target: which of the model's targets is wanted.
        device: where to compute; None for the GPU if there is one.

    Attributes:
        checkpoint: the file.
        meta: what the checkpoint says of itself.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """

    def __init__(self, cfg: Config, checkpoint: Path, target: str, device: str | None = None) -> None:
        self.checkpoint = checkpoint
        self.target = target
        self._cfg = cfg
        self._device = device
        self._stored: dict[str, Any] | None = load_checkpoint(checkpoint)
        self.meta: dict[str, Any] = self._stored['meta']
        self._model: Any = None
        self._dims: dict[str, Any] = {}

    @property
    def fitted(self) -> list[dict[str, Any]] | None:
        """What the transforms of the run took from its training videos, if the checkpoint says so."""
        return fitted_of(self.meta)

    def predict(self, partition: str, store: FeatureStore | None = None) -> tuple[Curves, Curves]:
        """Raw predictions and labels of every video, (frames,) each, in the order of the store.

        Args:
            partition: of the store.
            store: instead of the config's; see ``build_loader``.

        Raises:
            CheckpointError: the model was trained on other features or targets.
            ConfigError: it does not estimate the target.
            DataError: the store lacks a feature, or a prediction is not finite.
        """
        loader = build_loader(self._cfg, 'val_dataloader', partition, self.fitted, store)
        model = self.model(loader.dataset.input_dims)
        column = model.targets.index(self.target)
        videos = predict(model, loader, self._device)
        return (
            {v: p.pred[:, column] for v, p in videos.items()},
            {v: p.label[:, column] for v, p in videos.items()},
        )

    def model(self, input_dims: dict[str, Any]) -> Any:
        """The estimator for data of these sizes; raises as ``predict``."""
        if self._model is None or self._dims != input_dims:
            self._model = restore_model(self._cfg, self.checkpoint, self._weights(), input_dims)
            self._dims = dict(input_dims)
            if self.target not in self._model.targets:
                estimated = ', '.join(self._model.targets)
                raise ConfigError(f'{self.checkpoint}: the model estimates {estimated}, not {self.target}')
            self._stored = None  # the weights are in the model now; it would hold them twice
        return self._model

    def _weights(self) -> dict[str, Any]:
        return self._stored if self._stored is not None else load_checkpoint(self.checkpoint)


def smoothing_windows(
    cfg: Config, targets: Sequence[str], given: Mapping[str, int] | None = None
) -> dict[str, int]:
    """One-sided smoothing window of each target in frames: given, the config's, or RUCAIM3's."""
    windows = {**WINDOWS, **cfg.get('windows', {}), **(given or {})}
    return {target: int(windows[target]) for target in targets}
