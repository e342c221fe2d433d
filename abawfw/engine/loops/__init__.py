"""Training loops."""

import abawfw.quick_mmengine
from abawfw.engine.loops.va_train_loop import VATrainLoop
from abawfw.engine.loops.va_val_loop import VAValLoop

__all__ = ['VATrainLoop', 'VAValLoop']
