"""Training loops."""

import abawfw.quick_mmengine  # noqa: F401
from abawfw.engine.loops.va_train_loop import VATrainLoop

__all__ = ['VATrainLoop']
