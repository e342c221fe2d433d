"""The network that a checkpoint holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.apis.build import restore_model
from abawfw.checkpoints import load_checkpoint


def load_model(cfg: Config, checkpoint: Path, input_dims: dict[str, int]) -> Any:
    """The estimator of a resolved config with these weights."""
    return restore_model(cfg, checkpoint, load_checkpoint(checkpoint), input_dims)
