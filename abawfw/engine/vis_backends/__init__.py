"""Experiment trackers: MMEngine's recorders with the repairs that they need to work here."""

from abawfw.engine.vis_backends.mlflow_vis_backend import MLflowVisBackend
from abawfw.engine.vis_backends.tensorboard_vis_backend import TensorboardVisBackend
from abawfw.engine.vis_backends.wandb_vis_backend import WandbVisBackend

__all__ = ['MLflowVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
