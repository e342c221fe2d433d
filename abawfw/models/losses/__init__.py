"""Losses of the heads: masked to valid, labelled frames, per target, in float32."""

from abawfw.models.losses.binned_cross_entropy_loss import BinnedCrossEntropyLoss
from abawfw.models.losses.ccc_loss import CCCLoss
from abawfw.models.losses.distillation_loss import DistillationLoss
from abawfw.models.losses.mse_loss import MSELoss
from abawfw.models.losses.plain_loss import PlainLoss, build_loss
from abawfw.models.losses.smoothness_loss import SmoothnessLoss
from abawfw.models.losses.va_loss import VALoss
from abawfw.models.losses.window_ccc_loss import WindowCCCLoss

__all__ = [
    'BinnedCrossEntropyLoss',
    'CCCLoss',
    'DistillationLoss',
    'MSELoss',
    'PlainLoss',
    'SmoothnessLoss',
    'VALoss',
    'WindowCCCLoss',
    'build_loss',
]
