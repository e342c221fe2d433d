"""Learning-rate schedules beyond MMEngine's."""

from abawfw.engine.schedulers.constant_then_linear_lr import ConstantThenLinearLR

__all__ = ['ConstantThenLinearLR']
