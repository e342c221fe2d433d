"""Figures of a run for TensorBoard."""

from __future__ import annotations

from mmengine.visualization import vis_backend

from abawfw.registry import VISBACKENDS


@VISBACKENDS.register_module()
class TensorboardVisBackend(vis_backend.TensorboardVisBackend):
    """Figures of every epoch, and the config, for TensorBoard: ``tensorboard --logdir work_dirs``.

    MMEngine's; what is missing without the extra is reported before a run begins.
    """

    needs = (('tensorboard',), 'tensorboard')
