"""A network in an ONNX file of the user's, as an extractor uses it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray

from abawfw.devices import find_device
from abawfw.errors import CheckpointError, ConfigError, DataError, nearest
from abawfw.extraction.faces.detectors.mtcnn import cpu_note, providers
from abawfw.extraction.packages import optional_package
from abawfw.files import check_plain

PENULTIMATE = 'penultimate'
"""In place of the name of an output: what the last layer takes, the vector before a classifier."""
OPERATORS = ('', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft')
"""Domains of operators that onnxruntime has without a library of somebody's."""
FLOATS = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}


Outputs = str | int | Annotated[Sequence[str | int], MinLen(1)]
Columns = int | Annotated[Sequence[int], MinLen(1)] | None


class Tensor(NamedTuple):
    """An input or output: its name, what onnxruntime calls its type, and its axes; a name or None varies."""

    name: str
    kind: str
    shape: tuple[int | str | None, ...]

    def fits(self, *row: int) -> bool:
        """Whether it may hold rows of this shape."""
        return len(self.shape) == 1 + len(row) and all(
            axis == given or not isinstance(axis, int)
            for axis, given in zip(self.shape[1:], row, strict=True)
        )

    def __str__(self) -> str:
        axes = ', '.join(str(axis) if axis is not None else '?' for axis in self.shape)
        return f'{self.name!r} ({axes}) of {self.kind}'


class OnnxNetwork:
    """An ONNX file in onnxruntime, many rows at a time; read when first used.

    The file is untrusted input: operators of other libraries, and weights that lie outside its folder, are
    refused before onnxruntime reads it.

    Args:
        feature: that it makes, for errors.
        file: of the network; weights may lie in files beside it.
        output: name or number of an output, name of any tensor within, `PENULTIMATE`, or several of these,
            whose vectors are joined.
        columns: of the vector that are kept, in this order, counted from 0; None for all.
        device: as `find_device` takes it.
        threads: of the CPU.

    Attributes:
        columns: as given, as a list.
    """

    def __init__(
        self,
        feature: str,
        file: str | Path | None,
        output: Outputs,
        columns: Columns,
        device: str,
        threads: int,
    ) -> None:
        self._feature, self._file = f'feature {feature!r}', file
        self._asked: list[Any] = list(output) if isinstance(output, list | tuple) else [output]
        listed: list[Any] = list(columns) if isinstance(columns, list | tuple) else [columns]
        self.columns = None if columns is None else listed
        self._device, self._threads = device, threads

    @cached_property
    def path(self) -> Path:
        """The file.

        Raises:
            DataError: none is given, or it is no plain file.
            CheckpointError: there is none.
        """
        if self._file is None:
            raise DataError(f'{self._feature} needs file=FILE.onnx, the network')
        path = Path(str(self._file))
        check_plain(path)
        if not path.is_file():
            raise CheckpointError(f'{self._feature}: {path}: no such file')
        return path

    @cached_property
    def sha256(self) -> str:
        """Of the file, and of the files of weights beside it if there are any; hexadecimal."""
        files = [self.path, *self._beside]
        digests = []
        for path in files:
            with path.open('rb') as content:
                digests.append(hashlib.file_digest(content, 'sha256'))
        if len(files) == 1:
            return digests[0].hexdigest()
        return hashlib.sha256(b''.join(digest.digest() for digest in digests)).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """Where there is a GPU for it and onnxruntime cannot use it."""
        return cpu_note(f'{self._feature} is computed', self._device, self.__dict__.get('_session'))

    @cached_property
    def input(self) -> Tensor:
        """The only one.

        Raises:
            CheckpointError: there are more, or it holds no floats.
        """
        found = [_tensor(part) for part in self._session.get_inputs()]
        if len(found) != 1:
            self._refuse(f'has {len(found)} inputs, {_listed(found)}; one is expected')
        if found[0].kind not in FLOATS:
            self._refuse(f'takes {found[0]}; {" or ".join(FLOATS)} is expected')
        if isinstance(batch := found[0].shape[0] if found[0].shape else 1, int) and batch > 1:
            self._refuse(f'takes {found[0]}, {batch} at a time; its first axis must vary or be 1')
        return found[0]

    @property
    def outputs(self) -> list[Tensor]:
        """All of them, as the file names them."""
        names = [value.name for value in self._model.graph.output]
        return [_tensor(part) for part in self._session.get_outputs() if part.name in names]

    def width(self, row: tuple[int, ...]) -> int:
        """Numbers of a row of the result, for inputs of this shape; see `__call__` for errors."""
        if row not in self._widths:
            self._widths[row] = self._try_out(row)
        return self._widths[row][0]

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Results (n, width) of inputs (n, ...).

        Raises:
            CheckpointError: it fails on them, or gives something else than a vector for each.
            ConfigError: columns that there are not.
        """
        self.width(rows.shape[1:])
        at_once = self._widths[rows.shape[1:]][1]
        if at_once:
            return self._run(rows)
        return np.concatenate([self._run(rows[k : k + 1]) for k in range(len(rows))])

    @cached_property
    def _widths(self) -> dict[tuple[int, ...], tuple[int, bool]]:
        """By shape of an input: numbers of a row, and whether many can be given at once."""
        return {}

    def _try_out(self, row: tuple[int, ...]) -> tuple[int, bool]:
        """Whether a row comes out the same among others, which not every file that takes many promises.

        Some have a batch of 1 within, from the image that they were traced with; some mix the rows.
        """
        rows = np.random.default_rng(0).normal(size=(2, *row)).astype(np.float32)
        alone = np.concatenate([self._run(rows[:1]), self._run(rows[1:])])
        if self.input.shape[0] == 1:
            return alone.shape[1], False
        try:
            together = self._run(rows)
        except CheckpointError:
            return alone.shape[1], False
        return alone.shape[1], np.allclose(together, alone, 1e-3, 1e-4, equal_nan=True)

    def _run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        names = self._names
        given = {self.input.name: rows.astype(FLOATS[self.input.kind], copy=False)}
        try:
            found = self._session.run(names, given)
        except Exception as error:  # classes of its own, of which none but Exception is a base
            self._refuse(f'fails on {len(rows)} inputs of {rows.shape[1:]}: {_reason(error)}')
        parts = []
        for name, values in zip(names, found, strict=True):
            shape = getattr(values, 'shape', None)
            if shape is None or not np.issubdtype(values.dtype, np.number):
                self._refuse(f'output {name!r} holds no numbers; it has {_listed(self.outputs)}')
            if shape[:1] != (len(rows),) or values.size != len(rows) * (shape[1] if len(shape) > 1 else 1):
                self._refuse(
                    f'output {name!r} has shape {shape} for {len(rows)} inputs; a vector for each is '
                    f'expected. It has {_listed(self.outputs)}'
                )
            parts.append(values.reshape(len(rows), -1).astype(np.float32, copy=False))
        joined = np.concatenate(parts, axis=1)
        if self.columns is None:
            return joined
        if wrong := [k for k in self.columns if not 0 <= k < joined.shape[1]]:
            raise ConfigError(
                f'{self._feature}: {self.path}: columns={self.columns}: {wrong[0]} of {joined.shape[1]}, '
                'counted from 0'
            )
        return joined[:, self.columns]

    @cached_property
    def _names(self) -> list[str]:
        """Of the tensors that are taken."""
        graph = self._model.graph
        names, found = [value.name for value in graph.output], []
        for asked in self._asked:
            if isinstance(asked, int):
                if not 0 <= asked < len(names):
                    raise ConfigError(
                        f'{self._feature}: {self.path}: output={asked}: it has {len(names)}, counted from 0'
                    )
                found.append(names[asked])
            elif asked == PENULTIMATE:
                last = graph.node[-1]
                if last.op_type != 'Gemm':
                    raise ConfigError(
                        f'{self._feature}: {self.path}: output={PENULTIMATE} is what a Gemm at the end '
                        f'takes; it ends with {last.op_type}; give the name or number of an output'
                    )
                found.append(last.input[0])
            else:
                known = {name for node in graph.node for name in node.output} | set(names)
                if asked not in known:
                    raise ConfigError(
                        f'{self._feature}: {self.path}: no output {asked!r}; {nearest(asked, names)}'
                    )
                found.append(asked)
        return found

    @cached_property
    def _model(self) -> Any:
        """The file as a message of protobuf, without the weights beside it."""
        onnx: Any = optional_package('onnx', 'features', self._feature)
        content = self.path.read_bytes()
        if not content:
            self._refuse('is empty, 0 bytes; copy or download it again')
        try:
            model = onnx.load_model_from_string(content)
        except Exception as error:  # protobuf raises its own
            raise CheckpointError(f'{self._feature}: {self.path}: {_no_onnx(content)}') from error
        if not model.graph.node or not model.graph.output:
            self._refuse(_no_onnx(content))
        own = {function.domain for function in model.functions}
        custom = {
            f'{node.domain}.{node.op_type}' for node in _nodes(model) if node.domain not in {*OPERATORS, *own}
        }
        if custom:
            self._refuse(
                f'has operators of its own, {", ".join(sorted(custom))}, whose code is not in it; export it '
                'with operators of ONNX'
            )
        return model

    @cached_property
    def _beside(self) -> list[Path]:
        """Files of weights.

        Raises:
            CheckpointError: one is missing, or lies outside the folder of the network.
        """
        places = {
            entry.value
            for tensor in _tensors(self._model)
            for entry in tensor.external_data
            if entry.key == 'location'
        }
        folder, found = self.path.resolve().parent, []
        for place in sorted(places):
            path = (folder / place).resolve()
            if Path(place).is_absolute() or not path.is_relative_to(folder):
                self._refuse(f'has weights in {place!r}, outside its folder; they must lie beside it')
            check_plain(path)
            if not path.is_file():
                self._refuse(f'has weights in {place!r} beside it, and there is no such file')
            found.append(path)
        return found

    @cached_property
    def _session(self) -> Any:
        runtime: Any = optional_package('onnxruntime', 'features', self._feature)
        onnx: Any = optional_package('onnx', 'features', self._feature)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.log_severity_level = 4  # what it says of a failure comes as an exception
        if self._beside:
            options.add_session_config_entry(
                'session.model_external_initializers_file_folder_path', str(self.path.resolve().parent)
            )
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        known = {value.name for value in model.graph.output}
        for name in self._names:
            if name not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        chosen = providers(find_device(self._device))
        try:
            return runtime.InferenceSession(model.SerializeToString(), options, providers=chosen)
        except Exception as error:  # classes of its own, of which none but Exception is a base
            raise CheckpointError(
                f'{self._feature}: {self.path}: onnxruntime cannot run it: {_reason(error)}'
            ) from error

    def _refuse(self, why: str) -> NoReturn:
        raise CheckpointError(f'{self._feature}: {self.path}: {why}')


def _tensor(part: Any) -> Tensor:
    """Of onnxruntime's description of an input or output."""
    return Tensor(part.name, part.type, tuple(part.shape))


def _listed(tensors: Sequence[Tensor]) -> str:
    return '; '.join(map(str, tensors)) or 'none'


def _reason(error: Exception) -> str:
    return ' '.join(str(error).split())[:300]


def _no_onnx(content: bytes) -> str:
    return f'is no ONNX file, or a damaged one; it begins with {content[:24]!r}'


def _nodes(model: Any) -> Iterator[Any]:
    """All of them, also within others and within functions."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting += graph.node


def _tensors(model: Any) -> Iterator[Any]:
    """Stored values, also those within nodes."""
    yield from model.graph.initializer
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
