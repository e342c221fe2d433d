"""MMEngine, imported without the parts that take longer to import than all others together.

``mmengine.model``, ``mmengine.optim`` and ``mmengine.runner`` import fully sharded training, the optimiser of
``transformers`` and the experimental flexible runner. Nothing here uses them, and they take up to three
seconds of every command. Packages whose modules import one of the three import this module first.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

ABSENT = ('transformers', 'torch.distributed.optim')
"""MMEngine goes on without these where they cannot be imported."""
EMPTY = {
    'mmengine.model.wrappers.fully_sharded_distributed': 'MMFullyShardedDataParallel',
    'mmengine.runner._flexible_runner': 'FlexibleRunner',
}
"""Modules of MMEngine, each with the one name that its package imports from it."""


@contextmanager
def _without_slow_parts() -> Iterator[None]:
    """Have stand-ins for what is slow, unless it is imported already, while MMEngine is imported."""
    stand_ins: dict[str, types.ModuleType | None] = dict.fromkeys(ABSENT)
    for name, attribute in EMPTY.items():
        stand_ins[name] = types.ModuleType(name)
        setattr(stand_ins[name], attribute, None)
    stand_ins = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(stand_ins)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


with _without_slow_parts():
    importlib.import_module('mmengine.runner')
if 'torch.distributed.optim' not in sys.modules:
    # registered on a base that is not there
    importlib.import_module('mmengine.registry').OPTIMIZERS.module_dict.pop('ZeroRedundancyOptimizer', None)
