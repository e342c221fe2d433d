"""A trained run as an ONNX file that needs nothing of this framework."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import abawfw
from abawfw.apis.build import clips_of
from abawfw.apis.frame_pipeline import FramePipeline
from abawfw.apis.postprocessing import as_tested, intervals_as_tested
from abawfw.apis.trained_run import LoadedRun, load_run
from abawfw.datasets.clip_dataset import load_fitted
from abawfw.datasets.transforms import LoadFeatures, PackVA, PadTo, ShiftLabels
from abawfw.devices import computing_with
from abawfw.errors import ConfigError, TrainingError
from abawfw.files import Replacement, check_writable
from abawfw.models.parts import is_stateful
from abawfw.registry import TRANSFORMS
from abawfw.structures.va_batch import Frames

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
        description: what the file holds about itself; see `describe`.
    """

    out: Path
    differences: dict[int, float] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)


def export(run: str | Path, out: str | Path, checkpoint: str | Path | None = None) -> ExportReport:
    """Write what ``tools/test.py`` tests of a run as one ONNX file, and compare the two.

    The file takes one clip of one video: an input per modality, (time, *dims), named after it, images as
    bytes; ``MODALITY_observed``, (time,) bool, where the run was trained with masks (``masked``), where the
    modality is optional, and where clips have one length, so that shorter ones are padded. Its output ``va``
    is (time, targets), raw. Contexts that carry state have inputs ``state.N.NAME``, zeros at the start of a
    video, and outputs ``next_state.N.NAME``, to be fed with the next clip. What has to be done before, such
    as normalisation with which numbers, is JSON in the metadata, under `KEY`.

    Args:
        run: work_dir of a run, or, with ``checkpoint``, a config file.
        out: the file to write.
        checkpoint: for all targets; otherwise the best one of each.

    Raises:
        ConfigError: a package is missing, the file cannot be written or has another ending than .onnx, or the
            model has no form of fixed shapes.
        CheckpointError: no checkpoint, or one that does not fit the config.
        TrainingError: the file does not give what PyTorch gives; none is written.
    """
    check_packages()
    out = Path(out)
    if not out.is_dir() and out.suffix.lower() != '.onnx':  # else a file of a run named by mistake is lost
        raise ConfigError(f'--onnx {out}: the file has a name that ends in .onnx, such as model.onnx')
    check_writable(out, 'model.onnx', '--onnx')
    import onnx

    loaded = load_run(run, checkpoint)
    graph = ExportGraph(loaded)
    report = ExportReport(out, description=describe(loaded, graph))
    models = [network.model for network in loaded.networks]
    with computing_with(None, loaded.cfg.get('threads'), *models), Replacement(out) as temporary:
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


EXAMPLE = 20  # frames of the clip that is traced; any number would do


class ExportGraph(nn.Module):
    """The networks of a run, as a function of one clip of one video, without the axis of a batch.

    Args:
        run: what to export.

    Attributes:
        modalities: names of the inputs, in order.
        masked: those of them with an input for where they were observed.
        length: frames that every clip must have; None for any number.
        max_length: frames that a clip may have; None for any number.

    Raises:
        ConfigError: a state has no fixed shape.
    """

    def __init__(self, run: LoadedRun) -> None:
        super().__init__()
        self.networks: Any = nn.ModuleList(network.model for network in run.networks)
        self.columns = [network.columns for network in run.networks]
        first = run.networks[0].model
        self.dims = {
            name: tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
            for name, dims in first.input_dims.items()
        }
        self.modalities = tuple(self.dims)
        self.length, self.max_length = clip_lengths(first)
        masks = FramePipeline(run.cfg.val_dataloader.dataset.pipeline, self.modalities).masked
        self.masked = tuple(
            name for name in self.modalities if masks or self.length or name in first.optional
        )
        self.states: dict[str, Tensor] = {}
        for network in run.networks:
            before = f'{"_".join(network.targets)}.' if len(run.networks) > 1 else ''
            for i, context in enumerate(network.model.context):
                if is_stateful(context):
                    self._add_state(f'{before}{i}', context)

    def _add_state(self, place: str, context: Any) -> None:
        names = getattr(context, 'state_names', None)
        if names is None:
            raise ConfigError(
                f'{type(context).__name__} carries state and does not say what it consists of: give it '
                'state_names'
            )
        state = context.fixed_state(1) if hasattr(context, 'fixed_state') else context.initial_state(1)
        for name, tensor in zip(names, state, strict=True):
            self.states[f'{place}.{name}'] = tensor[0]

    @property
    def input_names(self) -> list[str]:
        """Names of all inputs, in the order of :meth:`forward`."""
        masks = [f'{name}_observed' for name in self.masked]
        return [*self.modalities, *masks, *(f'state.{name}' for name in self.states)]

    @property
    def output_names(self) -> list[str]:
        """Names of all outputs."""
        return ['va', *(f'next_state.{name}' for name in self.states)]

    def example(self, frames: int, generator: torch.Generator) -> list[list[Tensor]]:
        """Arguments of :meth:`forward` of random numbers, all observed, at the start of a video."""
        inputs = []
        for dims in self.dims.values():
            if len(dims) == 3:
                inputs.append(torch.randint(256, (frames, *dims), dtype=torch.uint8, generator=generator))
            else:
                inputs.append(torch.randn(frames, *dims, generator=generator))
        masks = [torch.ones(frames, dtype=torch.bool) for _ in self.masked]
        return [inputs, masks, list(self.states.values())]

    def forward(self, inputs: list[Tensor], masks: list[Tensor], states: list[Tensor]) -> list[Tensor]:
        """Run over a clip.

        Args:
            inputs: of each modality (time, *dims).
            masks: of each of ``masked`` (time,) bool.
            states: before the clip, one tensor after the other.

        Returns:
            Predictions (time, targets), then the states after the clip.
        """
        observed = dict(zip(self.masked, masks, strict=True))
        valid = torch.ones_like(inputs[0].flatten(1)[None, :, 0], dtype=torch.bool)
        seen = torch.stack([observed[n][None] if n in observed else valid for n in self.modalities], dim=-1)
        clip = {name: x[None] for name, x in zip(self.modalities, inputs, strict=True)}
        left = [state[None] for state in states]
        parts, after = [], []
        for network, columns in zip(self.networks, self.columns, strict=True):
            before = []
            for context in network.stateful:
                count = len(context.state_names)
                before.append(tuple(left[:count]))
                left = left[count:]
            x, carried = network.extract(clip, Frames(valid, seen), before)
            after += [tensor[0] for state in carried for tensor in state]
            parts.append(network.head(x, valid).va[0][:, columns])
        return [torch.cat(parts, dim=1), *after]


def clip_lengths(model: Any) -> tuple[int | None, int | None]:
    """Frames that a clip of an estimator must have, and that it may have; None for any number."""
    limits = [limit for context in model.context if (limit := getattr(context, 'max_length', None))]
    return getattr(model.fusion, 'length', None), min(limits, default=None)


def write_graph(graph: ExportGraph, path: Path) -> None:
    """Write the graph, of any number of frames unless it has one length."""
    import onnx

    example = graph.example(graph.length or EXAMPLE, torch.Generator().manual_seed(0))
    time = {} if graph.length else {0: torch.export.Dim.AUTO}
    shapes: Any = ([time] * len(graph.modalities), [time] * len(graph.masked), [{}] * len(graph.states))
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            graph.eval(),
            tuple(example),
            path,
            dynamo=True,
            input_names=graph.input_names,
            output_names=graph.output_names,
            dynamic_shapes=shapes,
            external_data=False,
            verbose=False,
        )
    file = onnx.load(path)
    # Shapes behind an LSTM are noted as those of the example, and ONNX Runtime believes them.
    del file.graph.value_info[:]
    for value in (*file.graph.input, *file.graph.output):
        state = graph.states.get(value.name.partition('state.')[2])
        axes = value.type.tensor_type.shape.dim
        for axis, size in zip(axes, [] if state is None else state.shape, strict=False):
            axis.Clear()
            axis.dim_value = size
        if state is None:
            axes[0].Clear()
            if graph.length:
                axes[0].dim_value = graph.length
            else:
                axes[0].dim_param = 'time'
    for node in file.graph.node:  # lines of source and where they lie on this machine, half of the file
        node.ClearField('metadata_props')
        node.ClearField('doc_string')
    onnx.checker.check_model(file)
    onnx.save(file, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints, logs and warns about itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)


def describe(run: LoadedRun, graph: ExportGraph) -> dict[str, Any]:
    """What to feed and what comes out.

    Returns:
        ``features``: dims and type of every input; ``masks``: the masks that are inputs; ``targets``: the
        columns of ``va``; ``states``: pairs of input and output; ``clips``: the rule by which the run cuts
        videos for predictions, with ``weights`` where they overlap; ``length``: frames that every
        clip must have, ``max_length``: that it may have, or None; ``pipeline``: what the features go through
        before, in order, with statistics of the training videos (``mean``, ``std``); ``postprocess``: by
        target, the steps that the run applies to a whole video afterwards, before it clips; ``intervals``: by
        target, how far that may be off, of those that were tested with intervals: ``reach`` times the root of
        ``floor`` squared and the variance of the curve within ``window`` frames on either side, clipped to
        [-1, 1]; ``extraction``: settings of the extractors; ``fps``: lowest and highest frames per second of
        the training videos, or None; ``checkpoints``: per target; ``version``.
    """
    clips = clips_of(run.cfg)
    postprocess = as_tested(run.cfg, run.checkpoints)
    intervals = intervals_as_tested(run.checkpoints, postprocess, clips)
    return {
        'features': {
            name: {'dims': list(dims), 'dtype': 'uint8' if len(dims) == 3 else 'float32'}
            for name, dims in graph.dims.items()
        },
        'masks': [f'{name}_observed' for name in graph.masked],
        'targets': list(run.targets),
        'states': [{'input': f'state.{name}', 'output': f'next_state.{name}'} for name in graph.states],
        'clips': clips,
        'length': graph.length,
        'max_length': graph.max_length,
        'pipeline': _steps(run, padded=graph.length is not None),
        'postprocess': {t: p.settings() for t, p in postprocess.items()},
        'intervals': {t: kept.settings() for t, kept in intervals.items()},
        'extraction': run.meta.get('extraction', {}),
        'fps': run.meta.get('fps'),
        'checkpoints': {target: checkpoint.name for target, checkpoint in run.checkpoints.items()},
        'version': abawfw.__version__,
    }


def _steps(run: LoadedRun, padded: bool) -> list[dict[str, Any]]:
    """The transforms that change inputs, with the statistics that they took."""
    idle = (LoadFeatures, ShiftLabels, PackVA) if padded else (LoadFeatures, ShiftLabels, PackVA, PadTo)
    configs = [cfg.to_dict() for cfg in run.cfg.val_dataloader.dataset.pipeline]
    transforms = [TRANSFORMS.build(dict(cfg)) for cfg in configs]
    if run.fitted is not None:
        load_fitted(transforms, run.fitted)
    steps = []
    for transform, step in zip(transforms, configs, strict=True):
        if hasattr(transform, 'fit') and run.fitted is not None:
            step['statistics'] = {
                name: {'mean': np.asarray(mean).tolist(), 'std': np.asarray(std).tolist()}
                for name, (mean, std) in transform.fitted().items()
            }
        if not isinstance(transform, idle) and getattr(transform, 'features', None) != []:
            steps.append(step)
    return steps


def largest_difference(graph: ExportGraph, path: Path, frames: int) -> float:
    """Largest difference of predictions and states, over two clips of a video.

    In the second one half of the frames were missed, where the file takes masks, and state is carried there.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    wanted = [value.name for value in session.get_inputs()]
    generator = torch.Generator().manual_seed(frames)
    states, largest = None, np.float64(0)
    for missed in (0.0, 0.5):
        inputs, masks, initial = graph.example(frames, generator)
        masks = [torch.rand(frames, generator=generator) >= missed for _ in masks]
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
