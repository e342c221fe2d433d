"""A trained run as it is tested: its networks, and what its inputs go through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.apis.build import fitted_of, restore_model
from abawfw.apis.distinct_weights import Weights, distinct_weights, same_fitted
from abawfw.checkpoints import best_checkpoint
from abawfw.config import load_config, resolve
from abawfw.errors import CheckpointError, ConfigError
from abawfw.models.folding import fold_weight_norm


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
        meta: what the first checkpoint says of itself.
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
    cfg = resolve(load_config(run if checkpoint is not None else run / 'config.py'))
    if checkpoint is None:
        paths = {t: best_checkpoint(run, f'ccc_{t}') for t in cfg.targets}
    else:
        paths = dict.fromkeys(cfg.targets, Path(checkpoint))
    found = distinct_weights(paths)
    for other in found[1:]:
        if not same_fitted(fitted_of(other.stored['meta']), fitted_of(found[0].stored['meta'])):
            raise CheckpointError(
                f'{other.checkpoint} and {found[0].checkpoint} were trained with other statistics of the '
                'training videos: they are of two runs; test each run by itself'
            )
    networks = [_network(cfg, weights) for weights in found]
    meta = found[0].stored['meta']
    return LoadedRun(cfg, paths, networks, meta, fitted_of(meta))


def _network(cfg: Config, weights: Weights) -> Network:
    dims = weights.stored['meta'].get('input_dims')
    if dims is None:
        raise CheckpointError(f'{weights.checkpoint}: does not say what features it was trained with')
    model = restore_model(cfg, weights.checkpoint, weights.stored, dims)
    fold_weight_norm(model)
    columns = [model.targets.index(t) for t in weights.targets]
    return Network(model, weights.checkpoint, weights.targets, columns)
