"""What is extracted from every video, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from abawfw.components import construct_named
from abawfw.datasets.importers.affwild2_files import read_annotation
from abawfw.datasets.stores.records import FeatureInfo
from abawfw.errors import AbawfwError, ConfigError, DataError, counted, nearest
from abawfw.extraction.extractors import Extractor, FaceExtractor, build_extractor
from abawfw.extraction.faces.detectors.base import DETECTOR, FACES, OFFICIAL, FaceDetector
from abawfw.extraction.faces.track import wrong_persons
from abawfw.extraction.faces.trial_faces import HOLD, CropFolder
from abawfw.extraction.pipeline.extract import ExtractionReport, extract_video
from abawfw.extraction.pipeline.worker_processes import Tick
from abawfw.extraction.speech import SPEECH, SpeechRule, build_speech_rule
from abawfw.extraction.video.source_videos import SourceVideo
from abawfw.progress import Report
from abawfw.registry import FACE_DETECTORS


@dataclass(frozen=True)
class ExtractionPlan:
    """What is done with every video; called with one in a process of its own.

    Attributes:
        root: folder of the store.
        features: names of extractors.
        options: arguments by feature, and under `FACES` those of the face detector, with its ``type`` unless
            it is to be `DETECTOR`; under `SPEECH` those of the rule that says whose the audio is.
        crops: folder of official crops; None: faces are looked for.
        persons: who are followed if none is annotated; see `find_faces`.
        device: what runs the networks whose options name no device.

    Raises:
        ConfigError: no feature, one twice, options that belong to none, another number of persons, or one
            beside crops. In `faces` and whatever needs it: options for faces that no feature looks at.
    """

    root: Path
    features: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    crops: Path | None = None
    persons: int | str = 1
    device: str = 'cpu'

    def __post_init__(self) -> None:
        if not self.features:
            raise ConfigError('no feature given: --features face48 logmel ...')
        if twice := sorted({name for name in self.features if self.features.count(name) > 1}):
            raise ConfigError(f'feature {", ".join(twice)}: given twice')
        for name in self.options:
            if name not in (known := (*self.features, FACES, SPEECH)):
                raise ConfigError(f'options of {name!r}: {nearest(name, known)}')
        if self.crops is not None and FACES in self.options:
            raise ConfigError('options of faces are those of the detector, and crops are used instead of it')
        if problem := wrong_persons(self.persons):
            raise ConfigError(problem)
        if self.crops is not None and self.persons != 1:
            raise ConfigError(
                f'persons={self.persons}: no effect, since the folders in {self.crops} say whose crops there '
                'are; omit it'
            )

    @cached_property
    def extractors(self) -> list[Extractor]:
        """The extractors, in order; built once per process, since they keep their networks.

        Raises:
            ConfigError: an unknown feature or option.
        """
        return [build_extractor(name, self.device, **self.options.get(name, {})) for name in self.features]

    @cached_property
    def faces(self) -> FaceDetector | CropFolder | None:
        """Where faces come from; None where no feature needs them.

        Raises:
            ConfigError: an unknown detector or option, or options for faces that no feature looks at.
            DataError: no such folder of crops.
        """
        if not any(extractor.source == 'face' for extractor in self.extractors):
            if idle := self._options_for_faces():
                raise ConfigError(
                    f'{", ".join(idle)}: no effect, since no feature looks at faces '
                    f'({", ".join(self.features)}); omit it, or extract a face feature too'
                )
            return None
        if self.crops is not None:
            if boxed := [e.name for e in self.extractors if isinstance(e, FaceExtractor) and e.view.boxed]:
                raise ConfigError(
                    f'{", ".join(boxed)}: takes the boxes of faces, and crops {self.crops} are aligned; give '
                    f'{boxed[0]}.face=aligned, or no crops'
                )
            return CropFolder(self.crops)
        return _detector(self.device, **self.options.get(FACES, {}))

    @cached_property
    def speech(self) -> SpeechRule | None:
        """Says whose the audio is; None where it is everybody's.

        Raises:
            ConfigError: an unknown rule or option, or one where no faces are looked for, or no audio is used.
        """
        if SPEECH not in self.options:
            return None
        if not any(extractor.source == 'audio' for extractor in self.extractors):
            raise ConfigError(f'{SPEECH}: no effect, since no feature is made of audio; omit it')
        if not isinstance(self.faces, FaceDetector):
            raise ConfigError(
                f'{SPEECH}: no effect, since no faces are looked for; add a face feature, or omit it'
            )
        return build_speech_rule(**self.options[SPEECH])

    def _options_for_faces(self) -> list[str]:
        """What was given that matters only to features of faces."""
        given = [f'{FACES}.{option}' for option in self.options.get(FACES, {})]
        if self.crops is not None:
            given.append(f'crops {self.crops}')
        if self.persons != 1:
            given.append(f'persons={self.persons}')
        return given

    @property
    def infos(self) -> dict[str, FeatureInfo]:
        """Shape and type of every feature."""
        return {e.name: FeatureInfo(tuple(e.dims), e.dtype) for e in self.extractors}

    @property
    def notes(self) -> list[str]:
        """What is to be known before it begins, a line each."""
        of_faces = self.faces.notes if isinstance(self.faces, FaceDetector) else ()
        of_speech = self.speech.notes if self.speech is not None else ()
        return [*of_faces, *of_speech, *(note for extractor in self.extractors for note in extractor.notes)]

    def check(self) -> None:
        """Say at once whatever is missing for the extractors and the face detector.

        Raises:
            DataError: with a line for each.
        """
        parts: dict[str, Any] = {extractor.name: extractor for extractor in self.extractors}
        if isinstance(self.faces, FaceDetector):
            parts[FACES] = self.faces
        if self.speech is not None:
            parts[SPEECH] = self.speech
        problems = []
        for name, part in parts.items():
            try:
                part.check()
            except AbawfwError as error:
                problems.append(f'{name}: {error}')
        if problems:
            raise DataError('\n  '.join(['these cannot be extracted, nothing was started:', *problems]))

    def settings(self) -> dict[str, Any]:
        """Settings by feature, and under `FACES` where faces come from: what extraction.json has."""
        found = {extractor.name: extractor.settings() for extractor in self.extractors}
        if isinstance(self.faces, CropFolder):
            found[FACES] = {'detector': OFFICIAL}
        elif self.faces is not None:
            found[FACES] = {**self.faces.settings(), 'persons': self.persons, 'hold': HOLD}
        if self.speech is not None:
            found[SPEECH] = self.speech.settings()
        return found

    def __call__(self, video: SourceVideo, tick: Tick) -> ExtractionReport:
        """Extract a video; errors are those of `extract_video`."""
        notes: list[str] = []
        labels = {suffix: read_annotation(path, notes) for suffix, path in video.annotations.items()}
        report = extract_video(
            video.path,
            self.extractors,
            self.faces,
            self.root,
            labels,
            self.persons,
            video.partition,
            tick,
            self.speech,
        )
        return replace(report, notes=(*notes, *report.notes))

    def __getstate__(self) -> dict[str, Any]:
        """Without the networks: every process builds its own."""
        return {n: v for n, v in self.__dict__.items() if n not in ('extractors', 'faces', 'speech')}


def _detector(device: str, /, type: str = DETECTOR, **options: Any) -> FaceDetector:
    """A registered face detector."""
    place = f'face detector {type!r}'
    detector: FaceDetector = construct_named(FACE_DETECTORS, str(type), options, place, device=device)
    return detector


class ProgressWatch:
    """Adds up how far the videos are, by the sizes of their files.

    Args:
        videos: all that are to be extracted now.
        progress: called with what is done, and how many kB of it out of how many.
    """

    def __init__(self, videos: Sequence[SourceVideo], progress: Report) -> None:
        self._sizes = {v.video_id: max(round(v.path.stat().st_size / 1000), 1) for v in videos}
        self._done = dict.fromkeys(self._sizes, 0.0)
        self._progress = progress

    def tick(self, video: SourceVideo, fraction: float) -> None:
        """This fraction of a video is done."""
        self._done[video.video_id] = fraction * self._sizes[video.video_id]
        what = f'extracting {counted(len(self._sizes), "video")}, in kB'
        self._progress(what, round(sum(self._done.values())), sum(self._sizes.values()))
