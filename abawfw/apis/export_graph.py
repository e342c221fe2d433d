"""A run as one function of tensors, and its graph as a file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abawfw.apis.frame_pipeline import FramePipeline
from abawfw.apis.load_run import LoadedRun
from abawfw.errors import ConfigError
from abawfw.models.parts import is_stateful

EXAMPLE = 20  # frames of the clip that is traced; any number would do


class ExportGraph(nn.Module):
    """The networks of a run, as a function of one clip of one video, without the axis of a batch.

    Args:
        run: what to export.

    Attributes:
        modalities: names of the inputs, in order.
        masked: those of them of which it is told where they were observed.
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
        told = FramePipeline(run.cfg.val_dataloader.dataset.pipeline, self.modalities).masked
        self.masked = tuple(name for name in self.modalities if told or self.length or name in first.optional)
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
        told = dict(zip(self.masked, masks, strict=True))
        valid = torch.ones_like(inputs[0].flatten(1)[None, :, 0], dtype=torch.bool)
        seen = torch.stack([told[n][None] if n in told else valid for n in self.modalities], dim=-1)
        clip = {name: x[None] for name, x in zip(self.modalities, inputs, strict=True)}
        left = [state[None] for state in states]
        parts, after = [], []
        for network, columns in zip(self.networks, self.columns, strict=True):
            before = []
            for context in network.stateful:
                count = len(context.state_names)
                before.append(tuple(left[:count]))
                left = left[count:]
            x, carried = network.extract(clip, seen, valid, before)
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
