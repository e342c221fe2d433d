"""What a network in an ONNX file gives for each face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.components import Count
from abawfw.errors import CheckpointError, ConfigError, nearest
from abawfw.extraction.extractors.base import FaceExtractor
from abawfw.extraction.extractors.face48 import resize_faces
from abawfw.extraction.extractors.onnx_network import PENULTIMATE, Columns, OnnxNetwork, Outputs
from abawfw.extraction.faces.track import FaceView
from abawfw.registry import EXTRACTORS

AUTO, NONE = 'auto', 'none'
PLACE = "feature 'face_onnx'"
LAYOUTS = ('NCHW', 'NHWC')
IMAGENET = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
EMOTIEFFLIB = 'https://github.com/sb-ai-lab/EmotiEffLib, models/affectnet_emotions/onnx'


class Preset(NamedTuple):
    """A published file, called NAME.onnx.

    Attributes:
        source: where it is published.
        sha256: of the file; None where it is not known for certain: then its input and output are compared.
        numbers: of its only output, for each face.
        size: side of its input in pixels.
        settings: those of `FaceOnnx` that differ from what they are without a preset.
        va: columns of the output that are valence and arousal, if it has them.
    """

    source: str
    sha256: str | None
    numbers: int
    size: int
    settings: dict[str, Any]
    va: tuple[int, int] | None = None


_BOXED = {'face': 'boxed', 'output': PENULTIMATE}
PRESETS = {
    'enet_b0_8_va_mtl': Preset(
        EMOTIEFFLIB,
        'c43e056ad388d4a8dc911832b8291435b2af537f967e5870ebd731574ec7e812',
        10,
        224,
        {**_BOXED, **IMAGENET},
        (8, 9),
    ),
    'enet_b0_8_best_vgaf': Preset(
        EMOTIEFFLIB,
        'fa07e841fd06c7a67ee651ea4e6e4a3a2bb5695f47b37a7da50492526f59c898',
        8,
        224,
        {**_BOXED, **IMAGENET},
    ),
    'enet_b0_8_best_afew': Preset(
        EMOTIEFFLIB,
        '7aa2ea31c1311f4f8aa9d3fdb085d418dd4e7a48c4b9ed41df8c044f91d0213f',
        8,
        224,
        {**_BOXED, **IMAGENET},
    ),
    'enet_b2_8': Preset(
        EMOTIEFFLIB,
        '180a9d4845b59393de4511598a0d1d34b705034691ea32959ce5009db7cf52b7',
        8,
        260,
        {**_BOXED, **IMAGENET},
    ),
    'enet_b2_7': Preset(
        EMOTIEFFLIB,
        '7863032d8c0c0bc259aa0dd7b8ebf6b607af454e7a0ea82be2b37767914ecd0f',
        7,
        260,
        {**_BOXED, **IMAGENET},
    ),
    'mobilevit_va_mtl': Preset(EMOTIEFFLIB, None, 10, 224, {**_BOXED, **IMAGENET}, (8, 9)),
    'mbf_va_mtl': Preset(EMOTIEFFLIB, None, 10, 112, {**_BOXED, 'mean': 0.5, 'std': 0.5}, (8, 9)),
    'w600k_r50': Preset(
        'https://github.com/deepinsight/insightface, release v0.7, buffalo_l.zip',
        '4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43',
        512,
        112,
        {'mean': 0.5, 'std': 0.5},
    ),
}
"""By name of the file. Inputs and the order of outputs are those of the code that is published with the files
(EmotiEffLib: emotiefflib/facial_analysis.py; the last two of ten numbers are valence and arousal). py-feat
publishes no ONNX file; w600k_r50 is InsightFace's file of the network that tells persons apart in py-feat."""


@EXTRACTORS.register_module('face_onnx')
class FaceOnnx(FaceExtractor):
    """What a network in an ONNX file gives for each face.

    The face is cut out of the video at the size that the network takes. A pixel of 0 to 255 is divided by
    ``scale``, then ``mean`` is taken off, then it is divided by ``std``.

    Args:
        file: the network, NAME.onnx.
        preset: settings of a published file, which is compared with it: a name of `PRESETS`; 'auto': the one
            of the file's name, if there is one; 'none'. What is given below comes before it.
        size: side of the input in pixels; None: as the file says.
        colours: order of the channels, 'RGB' (None) or 'BGR'.
        layout: of the input, 'NCHW' or 'NHWC'; None: as the file says.
        scale: largest value of a pixel; None: 255.
        mean: a number, or one per channel in the order of ``colours``; None: 0.
        std: the same; None: 1.
        face: 'aligned' (None): turned so that eyes and mouth lie where ArcFace has them; 'boxed': what lies
            in the detector's box, stretched to a square.
        output: name or number of an output, 'penultimate' for what its last layer takes, or a list of these,
            joined; None: the first.
        columns: of the output that are kept, counted from 0; None: all.
        device: where the network runs.
        threads: of the CPU.

    Raises:
        ConfigError: a value that is none of these.
    """

    name = 'face_onnx'

    def __init__(
        self,
        file: str | Path | None = None,
        preset: str = AUTO,
        size: Count | None = None,
        colours: Literal['RGB', 'BGR'] | None = None,
        layout: Literal['NCHW', 'NHWC'] | None = None,
        scale: float | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        face: Literal['aligned', 'boxed'] | None = None,
        output: Outputs | None = None,
        columns: Columns = None,
        device: str = 'cpu',
        threads: Count = 1,
    ) -> None:
        stem = None if file is None else Path(str(file)).stem
        if preset == AUTO:
            preset = stem if stem in PRESETS else NONE
        self.preset = str(preset)
        if self.preset != NONE and self.preset not in PRESETS:
            raise ConfigError(f'{PLACE}: preset {preset!r}; {nearest(self.preset, (*PRESETS, AUTO, NONE))}')
        self._known = PRESETS.get(self.preset)
        given = {
            'colours': colours,
            'layout': layout,
            'scale': scale,
            'mean': mean,
            'std': std,
            'face': face,
            'output': output,
        }
        chosen: dict[str, Any] = {
            'colours': 'RGB',
            'scale': 255,
            'mean': 0.0,
            'std': 1.0,
            'face': 'aligned',
            'output': 0,
        }
        chosen |= self._known.settings if self._known else {}
        chosen |= {key: value for key, value in given.items() if value is not None}
        self._size = size
        self._layout: str | None = chosen.pop('layout', None)
        self._chosen = chosen
        self._mean, self._std = (self._per_channel(key) for key in ('mean', 'std'))
        self._scale = self._per_channel('scale')
        if not (self._scale > 0).all() or not self._std.all():
            raise ConfigError(f'{PLACE}: scale is more than 0, and std is not 0')
        self.network = OnnxNetwork(self.name, file, chosen['output'], columns, device, threads)

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Extractor.notes`."""
        return self.network.notes

    @property
    def va(self) -> dict[str, Any] | None:
        """Settings with which the preset gives valence and arousal; None where it is not known to."""
        columns = None if self._known is None else self._known.va
        return None if columns is None else {'output': 0, 'columns': list(columns)}

    @property
    def view(self) -> FaceView:
        """See `FaceExtractor.view`."""
        return FaceView(self._input[1], self._chosen['face'] == 'boxed')

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of a vector, which the network decides."""
        return (self.network.width(self._row),)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`; the network by what is in its file."""
        layout, size = self._input
        return {
            'file': self.network.sha256[:16],
            'preset': self.preset,
            'size': size,
            'layout': layout,
            **self._chosen,
            'columns': self.network.columns,
        }

    def check(self) -> None:
        """See `Extractor.check`."""
        _ = self.dims

    def extract(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, *dims) of faces (n, side, side, 3)."""
        layout, size = self._input
        images = resize_faces(faces, size).astype(np.float32)
        if self._chosen['colours'] == 'BGR':
            images = images[..., ::-1]
        images = (images / self._scale - self._mean) / self._std
        if layout == 'NCHW':
            images = images.transpose(0, 3, 1, 2)
        return self.network(np.ascontiguousarray(images))

    @property
    def _row(self) -> tuple[int, ...]:
        layout, size = self._input
        return (3, size, size) if layout == 'NCHW' else (size, size, 3)

    @cached_property
    def _input(self) -> tuple[str, int]:
        """Layout and side, as the settings and the file say both.

        Raises:
            CheckpointError: the file is not that of the preset, or takes something else.
        """
        if self._known is not None:
            self._compare(self._known)
        taken = self.network.input
        wrong = f'{PLACE}: {self.network.path}: takes {taken}'
        if len(taken.shape) != 4:
            raise CheckpointError(
                f'{wrong}; images are expected, (batch, 3, side, side) or (batch, side, side, 3)'
            )
        fitting = [k for k, axis in zip(LAYOUTS, (1, 3), strict=True) if taken.shape[axis] == 3]
        layout = self._layout or (fitting[0] if len(fitting) == 1 else None)
        if layout is None:
            raise CheckpointError(
                f'{wrong}, which does not say where the colours are; give layout=NCHW or NHWC'
            )
        channels, *sides = [taken.shape[k] for k in ((1, 2, 3) if layout == 'NCHW' else (3, 1, 2))]
        if channels != 3 and isinstance(channels, int):
            raise CheckpointError(f'{wrong}, {channels} colours as {layout}; 3 are expected')
        fixed = {side for side in sides if isinstance(side, int)}
        size = self._size or (self._known.size if self._known else None) or (min(fixed) if fixed else None)
        if size is None:
            raise CheckpointError(
                f'{wrong}, images of any size; give the one that it was trained on, size=PIXELS'
            )
        if fixed - {size}:
            raise CheckpointError(
                f'{wrong}, not faces of {size} x {size}' + ('' if self._size else ', a square')
            )
        return layout, size

    def _compare(self, known: Preset) -> None:
        """Refuse a file that is not that of the preset."""
        network, none = self.network, 'with preset=none and settings of its own any file can be used'
        if known.sha256 is not None:
            if network.sha256 != known.sha256:
                raise CheckpointError(
                    f'{PLACE}: {network.path}: is not {self.preset}.onnx of {known.source}: its '
                    f'sha256 is {network.sha256}, expected {known.sha256}; {none}'
                )
            return
        taken, given, side = network.input, network.outputs, known.size
        fits = taken.name == 'input' and len(given) == 1
        if not (fits and taken.fits(3, side, side) and given[0].fits(known.numbers)):
            raise CheckpointError(
                f'{PLACE}: {network.path}: is not {self.preset}.onnx of {known.source}: it takes '
                f'{taken} and gives {"; ".join(map(str, given))}, expected one input "input" (n, 3, {side}, '
                f'{side}) and one output of {known.numbers}; {none}'
            )

    def _per_channel(self, key: str) -> NDArray[np.float32]:
        """(1,) or (3,) of a setting."""
        given = self._chosen[key]
        values = np.atleast_1d(np.asarray(given, np.float32))
        if values.shape not in ((1,), (3,)) or not np.isfinite(values).all():
            raise ConfigError(f'{PLACE}: {key}={given!r}: a number, or three, one per colour')
        return values
