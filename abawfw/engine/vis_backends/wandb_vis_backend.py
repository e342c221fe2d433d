"""Figures of a run for Weights & Biases."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.visualization.vis_backend import BaseVisBackend, force_init_env

from abawfw.errors import ConfigError
from abawfw.registry import VISBACKENDS


@VISBACKENDS.register_module()
class WandbVisBackend(BaseVisBackend):
    """Figures of every epoch, and the config, for Weights & Biases.

    MMEngine's counts calls instead of epochs, uploads the code of the folder it is started in, and ends a run
    with a function that W&B no longer has.

    Args:
        save_dir: where W&B keeps its files, below the run's folder of this start.
        init_kwargs: arguments of ``wandb.init``, such as ``project`` and ``mode``.

    Raises:
        ConfigError: with the first use, W&B does not begin, such as without network or login.
    """

    needs = (('wandb',), 'wandb')

    def __init__(self, save_dir: str, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(save_dir)
        self._init_kwargs = init_kwargs or {}

    def _init_env(self) -> None:
        wandb = importlib.import_module('wandb')
        folder = Path(self._save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        # save_dir is RUN/DATE/vis_data
        options = {'dir': str(folder), 'name': folder.parents[1].name, **self._init_kwargs}
        try:
            self._run = wandb.init(**options)
        except Exception as error:
            reason = str(error).strip().partition('\n')[0]
            raise ConfigError(
                f'Weights & Biases cannot start ({reason}): record offline with --cfg-options '
                'wandb_mode=offline, or log in first (wandb login)'
            ) from error
        self._run.define_metric('*', step_metric='epoch')

    @property
    @force_init_env
    def experiment(self) -> Any:
        """W&B's run."""
        return self._run

    @force_init_env
    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Record the config as it was given, overrides included."""
        self._run.config.update(config.to_dict())

    @force_init_env
    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record the figures of an epoch, ``step``."""
        self._run.log(scalar_dict, step=step)

    def close(self) -> None:
        """End W&B's run; as failed while an exception is being handled."""
        if hasattr(self, '_run'):
            self._run.finish(exit_code=int(sys.exc_info()[0] is not None))
