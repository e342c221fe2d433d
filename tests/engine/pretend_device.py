"""An accelerator that computes nothing: it knows shapes, types and where tensors are.

torch's fake tensors stand for those of a device. Of a build for CPUs alone they can be of ``cuda``, but its
autograd refuses them ("not linked with support for cuda devices"). The device that torch reserves for
backends from elsewhere, ``privateuseone``, can be registered from Python, and autograd takes it. For models
of this package it is like a GPU: they ask whether a device is a CPU, never which other one it is.

Registering it is for good, so this is for a process that does nothing else: `in_child`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from forked_python import forked_workers
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = 'pretend'
COPIES = ('aten._to_copy.default', 'aten.copy_.default')


class _Backend(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


SHAPES = torch.library.Library('aten', 'IMPL', 'Meta')


def register() -> None:
    """Make the device known to torch, and the shapes of a cell of a GRU on a device, which torch lacks."""
    backend_registration._setup_privateuseone_for_python_backend(DEVICE, _Backend())
    SHAPES.impl('_thnn_fused_gru_cell', _gru_cell)
    SHAPES.impl('_thnn_fused_gru_cell_backward', _gru_cell_backward)


def _gru_cell(gates: Tensor, more: Tensor, before: Tensor, *biases: Tensor | None) -> tuple[Tensor, ...]:
    return torch.empty_like(before), before.new_empty(len(before), 5 * before.shape[1])


def _gru_cell_backward(after: Tensor, workspace: Tensor, has_bias: bool) -> tuple[Tensor, ...]:
    gates, bias = (after.new_empty(*shape, 3 * after.shape[1]) for shape in ((len(after),), ()))
    return gates, gates.clone(), torch.empty_like(after), bias, bias.clone()


class Waits(TorchDispatchMode):
    """Counts what would make the host wait: values read back, and uploads, which block from plain memory.

    A value that decides something on the host (``item``, ``bool``, ``nonzero``, a mask as an index) is an
    error of the fake tensors themselves, ``DataDependentOutputException`` or ``DynamicOutputShapeException``.

    Attributes:
        found: how often each kind was seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        if str(func) in COPIES:
            source, target = given[-1].device.type, (made or given)[0].device.type
            if source != target:
                self.found['upload' if target == DEVICE else 'read back'] += 1
        elif len({x.device.type for x in given if x.ndim}) > 1:  # a number may come from the host
            self.found[f'tensors on two devices in {func}'] += 1
        return result


def place(model: nn.Module) -> nn.Module:
    """Move a model of fake tensors; ``Module.to`` does not do it for those."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                moved = nn.Parameter(parameter.detach().to(DEVICE), parameter.requires_grad)
                module._parameters[name] = moved
        for name, buffer in module._buffers.items():
            if buffer is not None:
                buffer.constant = None  # otherwise torch moves the value, too, which no device can hold
                module._buffers[name] = buffer.to(DEVICE)
    return model


@contextmanager
def fake() -> Iterator[FakeTensorMode]:
    """Tensors made within are fake."""
    with FakeTensorMode() as mode:
        yield mode


def in_child(actions: dict[str, Callable[[], Any]], out: Path) -> dict[str, Any]:
    """What each action returns, run in a process of its own where the device is registered.

    That process is no fork of this one: autograd counts devices at its first backward pass, for good.

    Args:
        actions: by name, picklable; what they return must be JSON.
        out: a file for the results.

    Returns:
        By name; of an action that failed, its traceback as text.
    """
    process = multiprocessing.get_context('spawn').Process(target=_run, args=(actions, out))
    with forked_workers():
        process.start()
    process.join(300)
    assert process.exitcode == 0
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _run(actions: dict[str, Callable[[], Any]], out: Path) -> None:
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    torch.set_num_threads(1)
    register()
    found: dict[str, Any] = {}
    for name, action in actions.items():
        try:
            found[name] = action()
        except Exception:
            found[name] = traceback.format_exc()
    out.write_text(json.dumps(found))
