"""Curves of videos by a network that gives valence and arousal itself, without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from abawfw.apis.extract_for_run import ExtractedVideo, extract_for_run
from abawfw.apis.face_frames import check_observed
from abawfw.apis.inferencer import VideoPrediction, curve_table, words_head
from abawfw.conventions import TARGETS
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.devices import AUTO, find_device
from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.postprocess import Pipeline
from abawfw.extraction.extractors import FaceOnnx, SoundOnnx, build_extractor
from abawfw.files import temporary_files
from abawfw.results.interval_file import KeptIntervals

KINDS = ('face_onnx', 'sound_onnx')


class NetworkInferencer:
    """Valence and arousal over time, frame by frame, of a network in an ONNX file.

    Tables are those of ``VAInferencer``. What the network gives is brought from its range to [-1, 1] and
    clipped to it, not smoothed; frames without a face, or for one of audio without audio, have NaN.

    Args:
        file: the network.
        settings: ``type``: 'face_onnx' (default) or 'sound_onnx'; ``range``: what stands for -1 and 1, where
            it is not [-1, 1]; others are arguments of that extractor. Its vector must be valence and arousal:
            ``output`` and ``columns`` say which they are, unless that is plain, or known of a published file.
        device: what computes, as ``find_device`` takes it.
        threads: of the CPU; None for 1.
        words: also name the region of the plane, in a column ``word``.

    Attributes:
        targets: what it estimates.
        postprocess: of each target: nothing but clipping.
        intervals: none, as nothing was validated.
        notes: what was assumed, a line each.

    Raises:
        ConfigError: an unknown setting, or it is not said which of its outputs are valence and arousal.
        CheckpointError: the file cannot be used; see `OnnxNetwork`.
    """

    def __init__(
        self,
        file: str | Path,
        settings: Mapping[str, Any] | None = None,
        device: str = AUTO,
        threads: int | None = None,
        words: bool = False,
    ) -> None:
        self.file, self.targets, self.notes = Path(file), list(TARGETS), list[str]()
        self.words = words
        self.postprocess = {target: Pipeline() for target in TARGETS}
        self.intervals: dict[str, KeptIntervals] = {}
        options = dict(settings or {})
        self._kind = str(options.pop('type', KINDS[0]))
        if self._kind not in KINDS:
            raise ConfigError(f'--cfg-options type={self._kind}: {" or ".join(KINDS)}')
        if 'file' in options or 'threads' in options or 'device' in options:
            raise ConfigError('--cfg-options file, device, threads: are --network, --device and --threads')
        self._range = _range(options.pop('range', [-1, 1]))
        self._device = find_device(device)

        def built(more: Mapping[str, Any]) -> Any:
            fixed = {'file': str(file), 'threads': threads or 1}
            return build_extractor(self._kind, self._device, **fixed, **options, **more)

        extractor = built({})
        if 'output' not in options and 'columns' not in options:
            extractor = built(self._which(extractor))
        extractor.check()
        if extractor.dims != (2,):
            raise ConfigError(
                f'{file}: gives {extractor.dims[0]} numbers, of {_outputs(extractor)}; say which two are '
                'valence and arousal, in this order: --cfg-options output=NAME columns=0,1'
            )
        self.notes += extractor.notes
        self.extractor = extractor

    def head(self) -> dict[str, Any]:
        """What the JSON file of a video says of what it was made with."""
        return {
            'network': self.file.name,
            'settings': {'type': self._kind, **self.extractor.settings(), 'range': self._range},
            'postprocess': {target: steps.texts() for target, steps in self.postprocess.items()},
        } | words_head(self.words)

    def predict_video(
        self,
        path: str | Path,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> VideoPrediction:
        """The curve of a video, of the person seen largest and longest; as ``VAInferencer.predict_video``.

        Args:
            path: a video file.
            options: none; they belong to runs.
            progress: called now and then with the fraction that is done.

        Raises:
            ConfigError: options are given.
            DataError: the video cannot be read, or has no face, or no audio, in any frame.
        """
        (found,) = self.predict_persons(path, 1, options=options, progress=progress)
        return found

    def predict_persons(
        self,
        path: str | Path,
        persons: int | str = 'all',
        options: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[VideoPrediction]:
        """The same for everyone in a video, or for the ``persons`` seen largest and longest.

        Raises:
            ConfigError: options are given, or the network looks at no faces.
            DataError: as `predict_video`.
        """
        if options:
            raise ConfigError('options are of the extractors of a run; a network has settings')
        chosen = {self.extractor.name: self.extractor}
        with temporary_files(), TemporaryDirectory(prefix='abawfw-') as folder:
            people = extract_for_run(Path(path), chosen, Path(folder), None, progress, self._device, persons)
            return [self._predicted(str(path), found) for found in people]

    def _predicted(self, path: str, found: ExtractedVideo) -> VideoPrediction:
        """Of the extracted values of a person."""
        name = self.extractor.name
        store = ArrayStore(path, found.arrays, found.observed, found.times)
        seen = store.observed(path, name, 0, len(found.times))
        try:
            check_observed(path, {name: seen})
        except DataError as error:  # the notes say why, as where something is not taken for a face
            raise DataError('\n  '.join([str(error), *found.notes])) from error
        low, high = self._range
        values = (2 * np.asarray(found.arrays[name], np.float64) - low - high) / (high - low)
        values[~seen] = np.nan
        curves = dict(zip(TARGETS, values.T, strict=True))
        kept = {target: self.postprocess[target](curve) for target, curve in curves.items()}
        face = None if found.track is None else found.track.found
        notes = [*self.notes, *found.notes]
        if missing := int((~seen).sum()):
            what = 'face' if isinstance(self.extractor, FaceOnnx) else 'audio'
            notes.append(f'no {what} in {missing} of {len(seen)} frames, which have no values')
        table = curve_table(kept, curves, found.times, face, self.words)
        return VideoPrediction(table, found.track, tuple(notes), found.person)

    def _which(self, extractor: FaceOnnx | SoundOnnx) -> dict[str, Any]:
        """Settings that say which outputs are valence and arousal, where that is plain.

        Raises:
            ConfigError: it is not.
        """
        if isinstance(extractor, FaceOnnx) and extractor.va is not None:
            return extractor.va
        outputs = extractor.network.outputs
        if len(outputs) == 1 and outputs[0].shape[1:] == (2,):
            self.notes.append(
                f'{self.file.name}: the two numbers of its output {outputs[0].name!r} are taken for valence '
                'and arousal, in this order; where they are not: --cfg-options columns=1,0'
            )
            return {'output': 0}
        if {output.name for output in outputs} == set(TARGETS):
            return {'output': list(TARGETS)}
        raise ConfigError(
            f'{self.file}: has {_outputs(extractor)}; say which are valence and arousal, in this order: '
            '--cfg-options output=NAME columns=0,1, or output=NAME,NAME'
        )


def _outputs(extractor: FaceOnnx | SoundOnnx) -> str:
    outputs = extractor.network.outputs
    return f'{len(outputs)} output{"s" * (len(outputs) != 1)}, {"; ".join(map(str, outputs))}'


def _range(given: Any) -> list[float]:
    """The two numbers of a range; ConfigError where it is none."""
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise ConfigError(f'--cfg-options range={given}: two numbers, as range=0,1')
    return [low, high]
