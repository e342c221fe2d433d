"""A trained run as an ONNX file that needs nothing of this framework."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.apis.export_check import largest_difference
from abawfw.apis.export_description import describe
from abawfw.apis.export_graph import ExportGraph, write_graph
from abawfw.apis.load_run import load_run
from abawfw.errors import ConfigError, TrainingError
from abawfw.files import Replacement, check_writable

TOLERANCE = 1e-4
LENGTHS = (33, 70)  # frames of clips to compare with, neither of them that of the example
KEY = 'abawfw'
"""Where the description stands among the metadata of the file."""


@dataclass
class ExportReport:
    """What an export gives.

    Attributes:
        out: the file.
        differences: largest difference between ONNX Runtime and PyTorch, by frames of the clip.
        description: what the file says of itself; see `describe`.
    """

    out: Path
    differences: dict[int, float] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)


def export(run: str | Path, out: str | Path, checkpoint: str | Path | None = None) -> ExportReport:
    """Write what ``tools/test.py`` tests of a run as one ONNX file, and compare the two.

    The file takes one clip of one video: an input per modality, (time, *dims), named after it, pictures as
    bytes; ``MODALITY_observed``, (time,) bool, where the run was trained to be told (``masked``), where the
    modality is optional, and where clips have one length, so that shorter ones are padded. Its output ``va``
    is (time, targets), raw. Contexts that carry state have inputs ``state.N.NAME``, zeros at the start of a
    video, and outputs ``next_state.N.NAME``, to be fed with the next clip. What has to be done before, such
    as normalisation with which numbers, is JSON in the metadata, under `KEY`.

    Args:
        run: work_dir of a run, or, with ``checkpoint``, a config file.
        out: the file to write.
        checkpoint: for all targets; otherwise the best one of each.

    Raises:
        ConfigError: a package is missing, the file cannot be written, or the model has no form of fixed
            shapes.
        CheckpointError: no checkpoint, or one that does not fit the config.
        TrainingError: the file does not give what PyTorch gives; none is written.
    """
    check_packages()
    out = Path(out)
    check_writable(out, 'model.onnx', '--onnx')
    import onnx

    loaded = load_run(run, checkpoint)
    graph = ExportGraph(loaded)
    report = ExportReport(out, description=describe(loaded, graph))
    with Replacement(out) as temporary:
        write_graph(graph, temporary)
        file = onnx.load(temporary)
        onnx.helper.set_model_props(file, {KEY: json.dumps(report.description)})
        onnx.save(file, temporary)
        for length in [graph.length] if graph.length else LENGTHS:
            report.differences[length] = largest_difference(graph, temporary, length)
        worst = float(np.max(list(report.differences.values())))  # NaN, if one is
        if not worst <= TOLERANCE:
            raise TrainingError(
                f'{run}: the ONNX file differs from PyTorch by {worst:.1e}, more than {TOLERANCE:.0e}; it '
                'was not kept'
            )
    return report


def check_packages() -> None:
    """ConfigError if a package of the extra ``export`` is missing."""
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(
                f'exporting needs {name}, which cannot be imported ({error}): pip install -e .[export]'
            ) from error
