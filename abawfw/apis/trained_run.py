"""A trained run as it is tested: its networks, and what its inputs go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import nn
from torch.nn.utils import parametrize

from abawfw.apis.build import (
    build_loader,
    fitted_of,
    overlapping,
    refuse_overlap,
    restore_model,
    same_fitted,
)
from abawfw.checkpoints import best_checkpoint, load_checkpoint
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.stores.base import FeatureStore
from abawfw.devices import AUTO, TF32, computing_on, computing_with, find_device, multiplying_in
from abawfw.engine.compiled_step import compile_steps
from abawfw.engine.optim.va_optim_wrapper import autocast, check_precision
from abawfw.errors import CheckpointError, ConfigError, DataError, counted
from abawfw.evaluation.va_metric import AssembledVideo, ClipWeights, VAMetric
from abawfw.progress import Report, unseen
from abawfw.results.run import CONFIG


@dataclass(frozen=True)
class Network:
    """A checkpoint of a run, and the targets it is taken for.

    Attributes:
        model: the estimator, in evaluation mode, to be run and not to be trained.
        checkpoint: where its weights come from.
        targets: what is taken from it.
        columns: where these stand among its predictions.
    """

    model: Any
    checkpoint: Path
    targets: tuple[str, ...]
    columns: list[int]


@dataclass(frozen=True)
class LoadedRun:
    """What :func:`load_run` gives.

    Attributes:
        cfg: config, references resolved.
        checkpoints: file of each target.
        networks: one, or one per target where each has its own best checkpoint; in the order of the targets.
        meta: what the first checkpoint holds about itself.
        fitted: what transforms took from the training videos, if the checkpoint says so.
    """

    cfg: Config
    checkpoints: dict[str, Path]
    networks: list[Network]
    meta: dict[str, Any]
    fitted: list[dict[str, Any]] | None

    @property
    def targets(self) -> tuple[str, ...]:
        """What is estimated, in the order of the predictions."""
        return tuple(t for network in self.networks for t in network.targets)

    @property
    def input_dims(self) -> dict[str, Any]:
        """Size of a frame of every modality as the networks take it."""
        return dict(self.networks[0].model.input_dims)


def load_run(run: str | Path, checkpoint: str | Path | None = None) -> LoadedRun:
    """Load what ``tools/test.py`` tests: the best checkpoint of each target, or the one that is named.

    Neither the data nor files of pre-trained weights need to be there.

    Args:
        run: work_dir of a run, or, with ``checkpoint``, a config file.
        checkpoint: for all targets.

    Raises:
        ConfigError: no such run, or a checkpoint to a run.
        CheckpointError: no checkpoint, one that does not fit the config, or two of different runs.
    """
    run = Path(run)
    if not run.exists():
        raise ConfigError(f'{run}: no such run or config file')
    if run.is_dir() == (checkpoint is not None):
        raise ConfigError('give either the work_dir of a run, or a config file and a checkpoint')
    cfg = resolve(load_config(run if checkpoint is not None else run / CONFIG))
    if checkpoint is None:
        paths = {t: best_checkpoint(run, f'ccc_{t}') for t in cfg.targets}
    else:
        paths = dict.fromkeys(cfg.targets, Path(checkpoint))
    trained = TrainedRun(cfg, paths)
    first, *others = (group[0] for group in trained.networks)
    if others:
        raise CheckpointError(
            f'{others[0].checkpoint} and {first.checkpoint} were trained with other statistics of the '
            'training videos: they are of two runs; test each run by itself'
        )
    networks = [network.to_be_moved() for network in trained.networks[0]]
    return LoadedRun(cfg, paths, networks, first.meta, first.fitted)


Curves = dict[str, np.ndarray]


class TrainedNetwork:
    """A checkpoint that predicts some targets; it is read once, whatever it is asked for.

    Args:
        cfg: resolved config of the run.
        weights: the checkpoint, and which of the model's targets are wanted.

    Attributes:
        targets: those wanted.
        checkpoint: file of the weights.
        meta: what the checkpoint holds about itself.
        fitted: what the transforms of the run took from its training videos, if the checkpoint says so.
    """

    def __init__(self, cfg: Config, weights: Weights) -> None:
        self.targets = weights.targets
        self.meta: dict[str, Any] = weights.stored['meta']
        self.fitted = fitted_of(self.meta)
        self._cfg = cfg
        self.checkpoint = weights.checkpoint
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
            stored = self._stored if self._stored is not None else load_checkpoint(self.checkpoint)
            self._model = restore_model(self._cfg, self.checkpoint, stored, input_dims)
            self._dims = dict(input_dims)
            self._stored = None  # the weights are in the model now; it would hold them twice
            for target in self.targets:
                if target not in self._model.targets:
                    estimated = ', '.join(self._model.targets)
                    raise ConfigError(f'{self.checkpoint}: the model estimates {estimated}, not {target}')
        return self._model

    def to_be_moved(self) -> Network:
        """The network for data as it was trained on, in a form that can be exported or run frame by frame.

        Raises:
            CheckpointError: the checkpoint does not say what features it was trained with.
        """
        dims = self.meta.get('input_dims')
        if dims is None:
            raise CheckpointError(f'{self.checkpoint}: does not say what features it was trained with')
        model = self.model(dims)
        fold_weight_norm(model)
        return Network(model, self.checkpoint, self.targets, [model.targets.index(t) for t in self.targets])


class TrainedRun:
    """Checkpoints that predict one target each; the same weights make one network.

    They compute as in training and validation: in its precision, if the device has it.

    Args:
        cfg: resolved config of the run.
        checkpoints: file of each target.
        device: what computes, as ``find_device`` takes it.
        threads: of the CPU; None for what ``computing_with`` finds right.

    Attributes:
        checkpoints: as given.
        networks: the networks, in groups that take the same inputs.
        notes: where the precision is not that of training, a line each.

    Raises:
        CheckpointError: a checkpoint cannot be read.
        ConfigError: there is no such device.
    """

    def __init__(
        self, cfg: Config, checkpoints: Mapping[str, Path], device: str = AUTO, threads: int | None = None
    ) -> None:
        self.checkpoints = dict(checkpoints)
        self._cfg, self._overlap = overlapping(cfg), cfg.get('overlap', 1)
        self._weights = cfg.get('overlap_weights', 'uniform')
        self._device = find_device(device)
        self._threads = threads, cfg.get('threads')
        self._products = cfg.get('matmul_precision', TF32)
        self._precision = cfg.optim_wrapper.get('precision', 'fp32')
        self.notes: list[str] = []
        try:
            with computing_on(self._device):
                check_precision(self._precision)
        except ConfigError as error:
            why = str(error).partition(':')[0]
            self.notes.append(f'trained in {self._precision}, here computed in fp32: {why}')
            self._precision = 'fp32'
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
        self,
        partition: str,
        store: FeatureStore | None = None,
        progress: Report = unseen,
        mode: str | None = None,
    ) -> dict[str, tuple[Curves, Curves]]:
        """Raw predictions and labels by target: (frames,) of every video, in the order of the store.

        Networks that take the same inputs share one pass over the data.

        Args:
            partition: of the store.
            store: instead of the config's; see ``build_loader``.
            progress: called with every batch.
            mode: in which ``torch.compile`` compiles the networks; None for not at all.

        Raises:
            CheckpointError: a model was trained on other features or targets.
            ConfigError: it does not estimate its target, or clips overlap and it carries state between them.
            DataError: the store lacks a feature, or a prediction is not finite.
        """
        found = {}
        for networks in self.networks:
            with computing_on(self._device), multiplying_in(self._products):
                loader = build_loader(self._cfg, 'val_dataloader', partition, networks[0].fitted, store)
                models = [network.model(loader.dataset.input_dims) for network in networks]
                for model in models:
                    refuse_overlap(self._overlap, model)
                with computing_with(*self._threads, *models):
                    if mode is not None:
                        self._compile(models, mode, loader)
                    predicted = predict_together(
                        models, loader, self._device, progress, self._precision, self._weights
                    )
            for network, model, videos in zip(networks, models, predicted, strict=True):
                for target in network.targets:
                    column = model.targets.index(target)
                    found[target] = (
                        {v: p.pred[:, column] for v, p in videos.items()},
                        {v: p.label[:, column] for v, p in videos.items()},
                    )
        return {target: found[target] for target in self.checkpoints}

    def _compile(self, models: Sequence[Any], mode: str, loader: Any) -> None:
        """Compile the networks for batches of a loader, and note why if that cannot be."""
        with torch.inference_mode():
            for model in models:
                why = compile_steps(model.to(self._device), mode, {False: loader}, self._precision)
                note = f'cannot be compiled, and computed as without compile: {why}'
                if why is not None and note not in self.notes:
                    self.notes.append(note)


class Weights(NamedTuple):
    """A checkpoint, the targets it is taken for, and the content of its file."""

    checkpoint: Path
    targets: tuple[str, ...]
    stored: dict[str, Any]


def distinct_weights(checkpoints: Mapping[str, Path]) -> list[Weights]:
    """Read the checkpoints of targets, in their order.

    Targets that are best in the same epoch have files with the same weights, and are put together.

    Raises:
        CheckpointError: a checkpoint cannot be read.
    """
    stored = {path: load_checkpoint(path) for path in dict.fromkeys(checkpoints.values())}
    found: list[Weights] = []
    for target, path in checkpoints.items():
        for index, other in enumerate(found):
            if path == other.checkpoint or _same(stored[path], other.stored):
                found[index] = other._replace(targets=(*other.targets, target))
                break
        else:
            found.append(Weights(path, (target,), stored[path]))
    return found


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    ours, theirs = one['state_dict'], other['state_dict']
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(x, theirs[name]) for name, x in ours.items())
        and same_fitted(fitted_of(one['meta']), fitted_of(other['meta']))
    )


def predict_together(
    models: Sequence[Any],
    loader: Any,
    device: str = AUTO,
    progress: Report = unseen,
    precision: str = 'fp32',
    weights: ClipWeights = 'uniform',
) -> list[dict[str, AssembledVideo]]:
    """Run several models over every clip of a loader, which is gone through once.

    Arguments and errors are those of ``predict``, whose results come for each model; ``progress`` is called
    with every batch, ``precision`` is that of forward passes, ``weights`` that of clips that overlap.
    """
    metrics = [VAMetric(targets=model.targets, weights=weights) for model in models]
    loader.batch_sampler.set_epoch(0)
    for model in models:
        model.reset_lanes()
    with computing_on(device) as place, autocast(precision), torch.inference_mode():
        models = [model.to(place).eval() for model in models]
        what, total = f'predicting {loader.dataset.partition}', len(loader.batch_sampler)
        for done, batch in enumerate(loader):
            progress(what, done, total)
            for model, metric in zip(models, metrics, strict=True):
                metric.process(batch, model.val_step(batch))
    return [_in_order(metric, loader) for metric in metrics]


def _in_order(metric: VAMetric, loader: Any) -> dict[str, AssembledVideo]:
    found = metric.collect()
    order = [v.video_id for v in loader.dataset.videos]
    missing = [v for v in order if v not in found]
    if missing:
        raise DataError(f'{counted(len(missing), "video")} got no prediction: {", ".join(missing[:5])}')
    return {v: found[v] for v in order}


def fold_weight_norm(model: nn.Module) -> None:
    """Compute the weights of weight-normed layers once, instead of in every call.

    The model then runs as before, but has other names of parameters: it is no longer to be trained or saved.
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module, 'weight'):
            parametrize.remove_parametrizations(module, 'weight', leave_parametrized=True)
