"""Training loops."""

from abawfw.engine.loops.va_train_loop import VATrainLoop

__all__ = ['VATrainLoop']
