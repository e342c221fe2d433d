"""Videos to a feature store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from abawfw.datasets.converters.affwild2_files import read_annotation
from abawfw.datasets.stores.base import FeatureInfo
from abawfw.errors import AbawfwError, ConfigError, DataError, Interrupted, nearest
from abawfw.features.crop_folder import CropFolder
from abawfw.features.detectors.base import FaceDetector
from abawfw.features.extract import ExtractionReport, extract_video
from abawfw.features.extractors import Extractor, build_extractor
from abawfw.features.feature_store import GrowingStore
from abawfw.features.finished_trial import FinishedTrial, digests
from abawfw.features.source_videos import SourceVideo, find_videos
from abawfw.features.worker_processes import Tick, work_through
from abawfw.registry import FACE_DETECTORS

FACES = 'faces'
"""Under this name stand the options of the face detector, and in a store where its faces come from."""


@dataclass(frozen=True)
class Progress:
    """How far an extraction has come.

    Attributes:
        done: videos that are finished or failed.
        videos: all to be extracted now.
        share: of the work that is done, by the size of the files.
        seconds: since the start.
    """

    done: int
    videos: int
    share: float
    seconds: float

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest will take at this pace; None at the very beginning."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else None


@dataclass(frozen=True)
class Extraction:
    """What came of an extraction.

    Attributes:
        root: folder of the store.
        trials: all that the store has now.
        kept: videos that were finished before.
        failed: reason by video.
    """

    root: Path
    trials: tuple[FinishedTrial, ...]
    kept: tuple[str, ...]
    failed: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """What is done with every video; called with one in a process of its own.

    Attributes:
        root: folder of the store.
        features: what to extract.
        options: arguments by feature, and under `FACES` those of the face detector.
        crops: folder of official crops; None: faces are looked for.
        persons: 1 or 2 followed where nobody is annotated.
    """

    root: Path
    features: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    crops: Path | None
    persons: int

    def extractors(self) -> list[Extractor]:
        """The extractors, in order.

        Raises:
            ConfigError: an unknown feature or option.
        """
        return [build_extractor(name, **self.options.get(name, {})) for name in self.features]

    def faces(self) -> FaceDetector | CropFolder:
        """Where faces come from.

        Raises:
            ConfigError: an unknown detector or option.
            DataError: no such folder of crops.
        """
        if self.crops is not None:
            return CropFolder(self.crops)
        detector: FaceDetector = FACE_DETECTORS.build(
            {'type': 'MTCNNDetector'} | dict(self.options.get(FACES, {}))
        )
        return detector

    @cached_property
    def _parts(self) -> tuple[list[Extractor], FaceDetector | CropFolder | None]:
        """Extractors and the source of faces, built once per process since they keep their networks."""
        extractors = self.extractors()
        return extractors, self.faces() if any(e.source == 'face' for e in extractors) else None

    def __call__(self, video: SourceVideo, tick: Tick) -> ExtractionReport:
        """Extract a video; called in a worker process."""
        extractors, faces = self._parts
        labels = {suffix: read_annotation(path) for suffix, path in video.annotations.items()}
        return extract_video(
            video.path, extractors, faces, self.root, labels, self.persons, video.partition, tick
        )


def extract_features(
    videos: str | Path,
    root: str | Path,
    features: Sequence[str],
    *,
    annotations: str | Path | None = None,
    crops: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    persons: int = 1,
    jobs: int = 1,
    resume: bool = False,
    tell: Callable[[str | ExtractionReport], None] = lambda _: None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Extraction:
    """Extract features of all videos of a folder into a store that `TrialStore` opens.

    Videos are worked on in processes of their own and entered as they finish; one that fails does not keep
    the others from it. A process that is killed leaves a store of the finished videos, with which
    ``resume=True`` goes on.

    Args:
        videos: folder of videos, or one video.
        root: folder of the store.
        features: names of extractors, such as 'face48' and 'logmel'.
        annotations: folder with ``Train_Set`` and ``Validation_Set`` of one text file per video
            (spec/affwild2.md); videos without one are of partition 'test'.
        crops: folder of aligned faces ``VIDEO/00001.jpg``, instead of looking for faces.
        options: arguments of extractors by feature; under 'faces' those of the face detector.
        persons: 1 or 2 of a video get a trial, ``VIDEO`` or ``VIDEO_left`` and ``VIDEO_right``, where
            annotations do not say who.
        jobs: videos extracted at once.
        resume: go on with a store that is there.
        tell: called with notes on the folder, and with the report of every finished video.
        progress: called now and then.

    Raises:
        ConfigError: an unknown feature or option.
        DataError: something that all videos need is missing: folders, packages, files of weights; or the
            store has other settings, or cannot be written.
        Interrupted: by Ctrl-C; the finished videos are kept.
    """
    options = options or {}
    _check(features, options, persons, jobs, crops)
    plan = Plan(Path(root), tuple(features), options, None if crops is None else Path(crops), persons)
    extractors = plan.extractors()
    faces = plan.faces() if any(e.source == 'face' for e in extractors) else None
    _check_parts(extractors, faces)
    extraction = {e.name: e.settings() for e in extractors}
    if faces is not None:
        extraction[FACES] = _faces_settings(faces, persons)
    found = find_videos(Path(videos), None if annotations is None else Path(annotations))
    for note in found.notes:
        tell(note)
    infos = {e.name: FeatureInfo(tuple(e.dims), e.dtype) for e in extractors}
    with GrowingStore(root, infos, extraction, resume) as store:
        kept = [video for video in found.videos if _is_kept(store, video)]
        waiting = [video for video in found.videos if video not in kept]
        waiting.sort(key=lambda video: -video.path.stat().st_size)  # the longest last would leave others idle
        watch = _Watch(waiting, progress)
        failed = {}
        try:
            with closing(work_through(plan, waiting, jobs, watch.tick)) as outcomes:
                for outcome in outcomes:
                    if outcome.failure is None:
                        store.add(outcome.value.trials)
                        tell(outcome.value)
                    else:
                        failed[outcome.item.video_id] = outcome.failure
                    watch.finish(outcome.item)
        except KeyboardInterrupt:
            raise Interrupted(
                f'{root}: interrupted; its {len(store.trials)} finished trials are kept, --resume goes on'
            ) from None
        return Extraction(
            store.root, store.trials, tuple(v.video_id for v in kept), dict(sorted(failed.items()))
        )


def _check(
    features: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    persons: int,
    jobs: int,
    crops: str | Path | None,
) -> None:
    if not features:
        raise ConfigError('no feature given: --features face48 logmel ...')
    if twice := sorted({name for name in features if list(features).count(name) > 1}):
        raise ConfigError(f'feature {", ".join(twice)}: given twice')
    for name in options:
        if name not in (*features, FACES):
            raise ConfigError(f'options of {name!r}: {nearest(name, (*features, FACES))}')
    if crops is not None and FACES in options:
        raise ConfigError('options of faces are those of the detector, and crops are used instead of it')
    if persons not in (1, 2):
        raise ConfigError(f'persons={persons}: 1 or 2')
    if jobs < 1:
        raise ConfigError(f'jobs={jobs}: 1 or more')


def _check_parts(extractors: Sequence[Extractor], faces: FaceDetector | CropFolder | None) -> None:
    """Say at once whatever is missing for the extractors and the face detector."""
    parts: dict[str, Any] = {e.name: e for e in extractors}
    if isinstance(faces, FaceDetector):
        parts[FACES] = faces
    problems = []
    for name, part in parts.items():
        try:
            part.check()
        except AbawfwError as error:
            problems.append(f'{name}: {error}')
    if problems:
        raise DataError('\n  '.join(['these cannot be extracted, nothing is started:', *problems]))


def _faces_settings(faces: FaceDetector | CropFolder, persons: int) -> dict[str, Any]:
    if isinstance(faces, CropFolder):
        return {'detector': 'official crops'}
    return {**faces.settings(), 'persons': persons}


def _is_kept(store: GrowingStore, video: SourceVideo) -> bool:
    """Whether a video is finished already, from the same file and annotation.

    Raises:
        DataError: it is finished, from another file or annotation.
    """
    trials = store.of_video(video.video_id)
    if not trials:
        return False
    labels = {suffix: read_annotation(path) for suffix, path in video.annotations.items()}
    expected = digests(video.video_id, labels)
    for trial in trials:
        name = trial.info.video_id
        changes = [
            ('file size', trial.size, video.path.stat().st_size),
            ('partition', trial.info.partition, video.partition),
            ('annotation', trial.annotation, expected.get(name)),
        ]
        for what, before, now in changes:
            if before != now:
                raise DataError(
                    f'{store.root / name}: {what} of video {video.video_id!r} has changed since it was '
                    f'extracted, from {before} to {now}; remove this folder to extract it again'
                )
    return True


class _Watch:
    """Adds up how far the videos are, by the size of their files."""

    def __init__(self, videos: Sequence[SourceVideo], progress: Callable[[Progress], None]) -> None:
        self._sizes = {v.video_id: max(v.path.stat().st_size, 1) for v in videos}
        self._shares = dict.fromkeys(self._sizes, 0.0)
        self._done = 0
        self._start = time.monotonic()
        self._progress = progress

    def tick(self, video: SourceVideo, share: float) -> None:
        """This share of a video is done."""
        self._shares[video.video_id] = share
        done = sum(share * self._sizes[name] for name, share in self._shares.items())
        seconds = time.monotonic() - self._start
        share = done / sum(self._sizes.values())
        self._progress(Progress(self._done, len(self._sizes), share, seconds))

    def finish(self, video: SourceVideo) -> None:
        """A video is finished, or failed."""
        self._done += 1
        self.tick(video, 1.0)
