"""Videos to a feature store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abawfw.datasets.importers.affwild2_files import read_annotation
from abawfw.datasets.stores.records import read_extraction
from abawfw.devices import check_device
from abawfw.errors import ConfigError, DataError, Interrupted, counted
from abawfw.extraction.extractors.base import TranscriptExtractor
from abawfw.extraction.faces.detectors.base import FACES, FaceDetector, recorded
from abawfw.extraction.faces.trial_faces import CropFolder
from abawfw.extraction.pipeline.extract import ExtractionReport
from abawfw.extraction.pipeline.feature_store import FinishedTrial, GrowingStore, label_digest, source_digests
from abawfw.extraction.pipeline.plan import ExtractionPlan, ProgressWatch
from abawfw.extraction.pipeline.worker_processes import work_through
from abawfw.extraction.video.source_videos import SourceVideo, find_videos, not_creatable
from abawfw.progress import Report, unseen


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


def extract_features(
    videos: str | Path,
    root: str | Path,
    features: Sequence[str],
    *,
    annotations: str | Path | None = None,
    crops: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    persons: int | str = 1,
    jobs: int = 1,
    resume: bool = False,
    device: str = 'cpu',
    tell: Callable[[str | ExtractionReport], None] = lambda _: None,
    progress: Report = unseen,
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
            (docs/challenge.md); videos without one are of partition 'test'.
        crops: folder of aligned faces ``VIDEO/00001.jpg``, instead of looking for faces.
        options: arguments of extractors by feature; under 'faces' those of the face detector; under 'speech'
            those of a rule that says whose the audio is, such as ``{'type': 'MouthMoves'}``.
        persons: how many of a video get a trial where annotations do not say who: 1 (``VIDEO``), 2
            (``VIDEO_left`` and ``VIDEO_right``), more, or 'all' (``VIDEO_person1``, ...).
        jobs: videos extracted at once.
        resume: go on with a store that is there.
        device: what runs networks, of extractors and the face detector, unless their options say otherwise;
            as ``find_device`` takes it.
        tell: called with notes, with the report of every finished video, and with a line on one that failed.
        progress: called now and then.

    Raises:
        ConfigError: an unknown feature or option, or no such device.
        DataError: something that all videos need is missing: folders, packages, files of weights; or the
            store has other settings, or cannot be written.
        Interrupted: by Ctrl-C; the finished videos are kept.
    """
    check_device(device)
    plan = ExtractionPlan(
        Path(root), tuple(features), options or {}, None if crops is None else Path(crops), persons, device
    )
    if jobs < 1:
        raise ConfigError(f'jobs={jobs}: 1 or more')
    plan.check()
    plan, notes = _as_begun(plan) if resume else (plan, [])
    found = find_videos(Path(videos), None if annotations is None else Path(annotations))
    for note in (*notes, *plan.notes, *found.notes):
        tell(note)
    with GrowingStore(root, plan.infos, plan.settings(), resume) as store:
        kept, waiting, failed = list[SourceVideo](), list[SourceVideo](), dict(found.refused)
        suffix = '_right' if persons in (1, 2) else '_person99'
        for video in found.videos:
            name = video.video_id
            try:
                if trials := store.of_video(name):
                    _check_unchanged(plan, video, trials)
                    kept.append(video)
                elif problem := not_creatable(store.root, name, f'{name}{suffix}'):
                    failed[name] = problem
                else:
                    waiting.append(video)
            except (DataError, OSError) as error:
                failed[name] = str(error)
        waiting.sort(key=lambda video: -video.path.stat().st_size)  # the longest last would leave others idle
        if elsewhere := sorted({trial.video for trial in store.trials} - {v.video_id for v in found.videos}):
            tell(
                f'{root}: keeps {counted(len(elsewhere), "video")} not in {videos}: '
                f'{", ".join(elsewhere[:5])}'
            )
        if waiting:
            tell(
                f'{counted(len(waiting), "video")} to extract'
                + (f', {len(kept)} finished before' if kept else '')
            )
        watch = ProgressWatch(waiting, progress)
        try:
            with closing(work_through(plan, waiting, jobs, watch.tick)) as outcomes:
                for outcome in outcomes:
                    if outcome.failure is None:
                        store.add(outcome.value.trials)
                        tell(outcome.value)
                    else:
                        failed[outcome.item.video_id] = outcome.failure
                        tell(f'{outcome.item.video_id}: failed, see the end')
                    watch.tick(outcome.item, 1.0)
        except KeyboardInterrupt:
            raise Interrupted(
                f'{root}: interrupted; kept: {counted(len(store.trials), "finished trial")}, --resume goes on'
            ) from None
        return Extraction(
            store.root, store.trials, tuple(v.video_id for v in kept), dict(sorted(failed.items()))
        )


def _as_begun(plan: ExtractionPlan) -> tuple[ExtractionPlan, list[str]]:
    """The plan with the rules of a version that did not record them, where such a version began the store.

    Returns:
        It, and a note if there are any that nobody gave.
    """
    there = read_extraction(plan.root).get(FACES, {})
    here = plan.faces.settings() if isinstance(plan.faces, FaceDetector) else {}
    given = plan.options.get(FACES, {})
    then = {k: v for k, v in recorded(there).items() if k not in there and k in here and k not in given}
    if not then:
        return plan, []
    options = {**plan.options, FACES: {**given, **then}}
    listed = ', '.join(f'{FACES}.{name}={value:g}' for name, value in then.items())
    note = f'{plan.root}: begun by an older version, which took any track for a face; goes on so ({listed})'
    return replace(plan, options=options), [note]


def _check_unchanged(plan: ExtractionPlan, video: SourceVideo, trials: Sequence[FinishedTrial]) -> None:
    """Refuse a finished video that would come out different now, as far as its trials say what they are of.

    Raises:
        DataError: file, crops, transcript, partition or annotations have changed, or cannot be read.
        OSError: the file cannot be read.
    """
    labels = {
        video.video_id + suffix: label_digest(read_annotation(path))
        for suffix, path in video.annotations.items()
    }
    there = {trial.info.video_id: trial for trial in trials}
    words = [extractor for extractor in plan.extractors if isinstance(extractor, TranscriptExtractor)]
    changes: dict[str, str] = {}  # by what it is
    names = set(labels)
    if isinstance(plan.faces, CropFolder) and not labels:
        names = {video.video_id + suffix for suffix in plan.faces.persons(video.video_id)}
    # without names, who has a trial follows from the number of persons, one of the settings
    if names and names != set(there):
        changes['persons'] = f'{", ".join(sorted(there))} then, {", ".join(sorted(names))} now'
    for name, trial in there.items():
        size = video.path.stat().st_size
        if trial.size != size:
            changes['file size'] = f'{trial.size} then, {size} now'
        if trial.info.partition != video.partition:
            missing = '; give --annotations as then' if not labels and trial.annotation is not None else ''
            changes['partition'] = f'{trial.info.partition} then, {video.partition} now{missing}'
        now = {'annotation': labels.get(name), **source_digests(video.path, name, plan.faces, words)}
        then = {'annotation': trial.annotation, **trial.sources}
        changes |= {what: 'another one now' for what, digest in then.items() if digest != now.get(what)}
    if changes:
        listed = '; '.join(f'{what}: {text}' for what, text in changes.items())
        folders = ', '.join(str(plan.root / name) for name in there)
        raise DataError(
            f'has changed since it was extracted ({listed}); remove {folders} to extract it again'
        )
