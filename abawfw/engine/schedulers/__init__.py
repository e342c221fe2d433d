"""Learning-rate schedules beyond MMEngine's."""

import abawfw.quick_mmengine
from abawfw.engine.schedulers.constant_then_linear_lr import ConstantThenLinearLR
from abawfw.engine.schedulers.cosine_restarts_lr import CosineRestartsLR
from abawfw.engine.schedulers.warmup_plateau_lr import WarmupPlateauLR

__all__ = ['ConstantThenLinearLR', 'CosineRestartsLR', 'WarmupPlateauLR']
