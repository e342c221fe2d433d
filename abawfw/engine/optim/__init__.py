"""Optimisation: parameter groups, precision and gradient clipping."""

import abawfw.quick_mmengine
from abawfw.engine.optim.subnetwork_constructor import SubnetworkConstructor
from abawfw.engine.optim.va_optim_wrapper import VAOptimWrapper

__all__ = ['SubnetworkConstructor', 'VAOptimWrapper']
