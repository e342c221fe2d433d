"""Small ONNX networks: a mean over each channel, or over all samples, then a linear layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def weights(channels: int, numbers: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the linear layer of `pooled`, (channels, numbers) and (numbers,)."""
    rng = np.random.default_rng(channels * 100 + numbers)
    return rng.normal(0, 0.4, (channels, numbers)).astype(np.float32), rng.normal(0, 0.1, numbers).astype(
        'f4'
    )


def pooled(
    path: Path,
    shape: Sequence[int | str] = ('n', 3, 24, 24),
    outputs: Sequence[tuple[str, int]] = (('output', 2),),
    *,
    kind: int = FLOAT,
    axes: Sequence[int] | None = None,
    change: Callable[[Any], None] = lambda model: None,
) -> Path:
    """Write one: input 'input' of this shape, the mean over ``axes``, and a linear layer for each output.

    Args:
        path: of the file.
        shape: of the input.
        outputs: name and numbers of each.
        kind: type of all values.
        axes: over which the mean is taken; None: those behind the channels.
        change: called with the model before it is written.
    """
    axes = list(range(2, len(shape))) if axes is None else list(axes)
    (channel,) = [k for k in range(1, len(shape)) if k not in axes] or [0]
    channels = int(shape[channel]) if channel else 1
    nodes = [
        helper.make_node('ReduceMean', ['input'], ['mean'], axes=axes, keepdims=int(not channel)),
        helper.make_node('Identity', ['mean'], ['pooled']),
    ]
    stored, made = [], []
    numpy_kind = helper.tensor_dtype_to_np_dtype(kind)
    for name, numbers in outputs:
        for letter, values in zip('wb', weights(channels, numbers), strict=True):
            stored.append(numpy_helper.from_array(values.astype(numpy_kind), f'{name}_{letter}'))
        nodes.append(helper.make_node('Gemm', ['pooled', f'{name}_w', f'{name}_b'], [name]))
        made.append(helper.make_tensor_value_info(name, kind, [shape[0], numbers]))
    graph = helper.make_graph(
        nodes, 'pooled', [helper.make_tensor_value_info('input', kind, list(shape))], made, stored
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def with_weights_beside(path: Path, place: str) -> Path:
    """The network again, its weights in a file of their own, said to lie at ``place``."""
    model = onnx.load(path)
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location='net.data',
        size_threshold=0,
        all_tensors_to_one_file=True,
    )
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == 'location':
                entry.value = place
    path.write_bytes(model.SerializeToString())
    return path
