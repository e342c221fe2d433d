"""The targets of a run: the checkpoint that is best at each, and what they say of videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from abawfw.apis.build import build_loader, fitted_of, restore_model
from abawfw.apis.distinct_weights import Weights, distinct_weights, same_fitted
from abawfw.apis.predict import predict_together
from abawfw.apis.progress import Report, unseen
from abawfw.checkpoints import load_checkpoint
from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import ConfigError

Curves = dict[str, np.ndarray]


class TrainedNetwork:
    """A checkpoint that predicts some targets; it is read once, whatever it is asked for.

    Args:
        cfg: resolved config of the run.
        weights: the checkpoint, and which of the model's targets are wanted.

    Attributes:
        targets: those wanted.
        meta: what the checkpoint says of itself.
        fitted: what the transforms of the run took from its training videos, if the checkpoint says so.
    """

    def __init__(self, cfg: Config, weights: Weights) -> None:
        self.targets = weights.targets
        self.meta: dict[str, Any] = weights.stored['meta']
        self.fitted = fitted_of(self.meta)
        self._cfg = cfg
        self._checkpoint = weights.checkpoint
        self._stored: dict[str, Any] | None = weights.stored
        self._model: Any = None
        self._dims: dict[str, Any] = {}

    def model(self, input_dims: dict[str, Any]) -> Any:
        """The estimator for data of these sizes.

        Raises:
            CheckpointError: it was trained on other features or targets.
            ConfigError: it does not estimate a target that is wanted.
        """
        if self._model is None or self._dims != input_dims:
            stored = self._stored if self._stored is not None else load_checkpoint(self._checkpoint)
            self._model = restore_model(self._cfg, self._checkpoint, stored, input_dims)
            self._dims = dict(input_dims)
            self._stored = None  # the weights are in the model now; it would hold them twice
            for target in self.targets:
                if target not in self._model.targets:
                    estimated = ', '.join(self._model.targets)
                    raise ConfigError(f'{self._checkpoint}: the model estimates {estimated}, not {target}')
        return self._model


class TrainedTargets:
    """Checkpoints that predict one target each; the same weights make one network.

    Args:
        cfg: resolved config of the run.
        checkpoints: file of each target.
        device: where to compute; None for the GPU if there is one.

    Attributes:
        checkpoints: as given.
        networks: the networks, in groups that take the same inputs.

    Raises:
        CheckpointError: a checkpoint cannot be read.
    """

    def __init__(self, cfg: Config, checkpoints: Mapping[str, Path], device: str | None = None) -> None:
        self.checkpoints = dict(checkpoints)
        self._cfg = cfg
        self._device = device
        self.networks: list[list[TrainedNetwork]] = []
        for weights in distinct_weights(checkpoints):
            network = TrainedNetwork(cfg, weights)
            for group in self.networks:
                if same_fitted(group[0].fitted, network.fitted):
                    group.append(network)
                    break
            else:
                self.networks.append([network])

    def predict(
        self, partition: str, store: FeatureStore | None = None, progress: Report = unseen
    ) -> dict[str, tuple[Curves, Curves]]:
        """Raw predictions and labels by target: (frames,) of every video, in the order of the store.

        Networks that take the same inputs share one pass over the data.

        Args:
            partition: of the store.
            store: instead of the config's; see ``build_loader``.
            progress: called with every batch.

        Raises:
            CheckpointError: a model was trained on other features or targets.
            ConfigError: it does not estimate its target.
            DataError: the store lacks a feature, or a prediction is not finite.
        """
        found = {}
        for networks in self.networks:
            loader = build_loader(self._cfg, 'val_dataloader', partition, networks[0].fitted, store)
            models = [network.model(loader.dataset.input_dims) for network in networks]
            predicted = predict_together(models, loader, self._device, progress)
            for network, model, videos in zip(networks, models, predicted, strict=True):
                for target in network.targets:
                    column = model.targets.index(target)
                    found[target] = (
                        {v: p.pred[:, column] for v, p in videos.items()},
                        {v: p.label[:, column] for v, p in videos.items()},
                    )
        return {target: found[target] for target in self.checkpoints}
