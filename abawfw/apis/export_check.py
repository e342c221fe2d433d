"""Whether an exported file gives what PyTorch gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from abawfw.apis.export_graph import ExportGraph


def largest_difference(graph: ExportGraph, path: Path, frames: int) -> float:
    """Largest difference of predictions and states, over two clips of a video.

    In the second one half of the frames were missed, where the file is told, and state is carried there.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    wanted = [value.name for value in session.get_inputs()]
    generator = torch.Generator().manual_seed(frames)
    states, largest = None, np.float64(0)
    for share in (0.0, 0.5):
        inputs, masks, initial = graph.example(frames, generator)
        masks = [torch.rand(frames, generator=generator) >= share for _ in masks]
        states = initial if states is None else states
        with torch.no_grad():
            va, *after = graph(inputs, masks, states)
        arguments = dict(zip(graph.input_names, [*inputs, *masks, *states], strict=True))
        found = session.run(graph.output_names, {name: arguments[name].numpy() for name in wanted})
        for ours, theirs in zip((va, *after), found, strict=True):
            difference = np.abs(ours.numpy().astype(np.float64) - theirs)
            largest = np.maximum(largest, np.max(difference, initial=0))  # NaN stays NaN
        states = after
    return float(largest)
