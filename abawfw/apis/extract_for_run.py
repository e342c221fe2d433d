"""The features that a run needs, from a video it has never seen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abawfw.apis.face_frames import shows_faces, source_of
from abawfw.components import arguments, construct_named
from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import AbawfwError, ConfigError, DataError, nearest
from abawfw.extraction.extractors import AudioExtractor, Extractor, FaceExtractor, build_extractor
from abawfw.extraction.faces.detectors.base import DETECTOR, FACES, recorded
from abawfw.extraction.speech import SPEECH, SpeechRule
from abawfw.registry import EXTRACTORS, FACE_DETECTORS

if TYPE_CHECKING:
    from abawfw.extraction.faces.detectors.base import FaceDetector
    from abawfw.extraction.faces.track import FaceTrack

_FINGERPRINT = re.compile('[0-9a-f]{16}')  # of a file of weights, in place of its path


@dataclass(frozen=True)
class ExtractedVideo:
    """Features of one video.

    Attributes:
        arrays: (frames, *dims) of each feature, mapped from files.
        observed: (frames,) bool of those that were not there in every frame.
        times: (frames,) seconds at which each frame is shown.
        track: where the face is; None where none was looked for.
        notes: what was missing, repaired or taken for granted, a line each.
        person: 'left', 'right', 'person1', ..., as extraction names the trial; '' for the only one.
    """

    arrays: dict[str, NDArray]
    observed: dict[str, NDArray[np.bool_]]
    times: NDArray[np.float64]
    track: FaceTrack | None
    notes: tuple[str, ...]
    person: str = ''


def extractors_of_run(
    run: Path,
    features: Sequence[str],
    optional: Sequence[str],
    extraction: Mapping[str, Any],
    given: Mapping[str, Extractor] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = 'cpu',
) -> tuple[dict[str, Extractor], list[str]]:
    """The extractors that make a run's features just as those it was trained on.

    Args:
        run: named in messages.
        features: that the run needs.
        optional: those of them that it can do without.
        extraction: settings by feature, as the run's checkpoint has them.
        given: extractors to take for some features, whatever the checkpoint says.
        options: arguments of extractors by feature that no checkpoint holds, such as the place of
            files of weights; what comes out must still be made as in training.
        device: what runs networks, unless options say otherwise.

    Returns:
        Extractor of each feature, and notes: of extractors, and on optional ones that are omitted.

    Raises:
        DataError: features that cannot be extracted here, each with the reason.
    """
    given, options = given or {}, options or {}
    for name in (*given, *options):
        if name not in features:
            raise DataError(f'{run} knows no feature {name!r}; {nearest(name, features)}')
    chosen, problems, notes = dict[str, Extractor](), list[str](), list[str]()
    for name in features:
        try:
            extractor = given.get(name) or _as_trained(name, extraction, options.get(name, {}), device)
            extractor.check()
            chosen[name] = extractor
            notes += extractor.notes
        except AbawfwError as error:
            if name in optional:
                notes.append(f'{name} is omitted, which the run can do without: {error}')
            else:
                problems.append(f'  {name}: {error}')
    if problems or not chosen:
        title = f'{run} needs features that cannot be extracted here:'
        raise DataError('\n'.join([title, *(problems or notes)]))
    return chosen, notes


def _as_trained(
    name: str, extraction: Mapping[str, Any], options: Mapping[str, Any], device: str
) -> Extractor:
    """The extractor with the settings of training."""
    component = EXTRACTORS.get(name)
    if component is None:
        known = ', '.join(sorted(EXTRACTORS.module_dict))
        raise DataError(f'there is no extractor of this name, only {known}; give its features as a store')
    if name not in extraction:
        raise DataError(
            'how it was extracted for training is unknown: the store was not made by '
            'tools/extract_features.py. Give the features as a store, or in Python the extractor: '
            f'predict_video(VIDEO, extractors={{{name!r}: ...}})'
        )
    then = extraction[name]
    extractor = build_extractor(name, device, **(_arguments(component, then) | dict(options)))
    now = json.loads(json.dumps(extractor.settings()))  # tuples as the lists that they are in a file
    for key in sorted(then.keys() | now.keys()):
        before, here = then.get(key, 'absent'), now.get(key, 'absent')
        if before != here:
            raise DataError(
                f'was extracted for training with {key} {before!r}, this abawfw has {here!r}: use that one, '
                'or extract the training data again and train on them'
            )
    return extractor


def _arguments(component: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that are arguments; a fingerprint stands for a file whose place is not known."""
    known = arguments(component)
    return {
        key: value
        for key, value in settings.items()
        if key in known and not (isinstance(value, str) and _FINGERPRINT.fullmatch(value))
    }


def extract_for_run(
    path: Path,
    extractors: Mapping[str, Extractor],
    folder: Path,
    faces: Mapping[str, Any] | None = None,
    progress: Callable[[float], None] | None = None,
    device: str = 'cpu',
    persons: int | str = 1,
    speech: SpeechRule | None = None,
) -> list[ExtractedVideo]:
    """Extract features of persons of a video.

    Args:
        path: the video.
        extractors: by feature of the run.
        folder: an empty one, which must stay as long as the arrays are used.
        faces: how faces were found for training, if that is known; a difference is noted.
        progress: called now and then with the fraction that is done.
        device: what looks for faces.
        persons: 1 for the one seen largest and longest (sum of the sides of the boxes), or see `find_faces`.
        speech: the rule that says whose the audio is; None: everybody's.

    Returns:
        One per person.

    Raises:
        ConfigError: persons or a rule of speech for features that are not of faces, or of audio.
        DataError: the video cannot be read.
    """
    from abawfw.extraction.pipeline.extract import extract_video

    notes = []
    looks_at_faces = any(isinstance(e, FaceExtractor) for e in extractors.values())
    if persons != 1 and not looks_at_faces:
        raise ConfigError(f'{path}: persons={persons}: what is looked at is no face, so persons are unknown')
    detector: Any = None
    if looks_at_faces:
        faces = recorded(faces or {})
        options = _arguments(FACE_DETECTORS.module_dict[DETECTOR], faces)
        place = f'faces, as found for training: {DETECTOR}'
        try:
            detector = construct_named(FACE_DETECTORS, DETECTOR, options, place, device=device)
        except ConfigError as error:
            raise DataError(f'{error}; this is what the checkpoint says') from error
        detector.check()
        notes += [*detector.notes, *_other_faces(detector, faces)]
    if speech is not None:
        if not (looks_at_faces and any(isinstance(e, AudioExtractor) for e in extractors.values())):
            raise ConfigError(f'{path}: {SPEECH}: no effect without features of faces and of audio; omit it')
        speech.check()
        notes += speech.notes
    report = extract_video(
        path, list(extractors.values()), detector, folder, persons=persons, progress=progress, speech=speech
    )
    return [
        _extracted(folder / trial.info.video_id, extractors, looks_at_faces, (*report.notes, *notes), path)
        for trial in report.trials
    ]


def _extracted(
    place: Path, extractors: Mapping[str, Extractor], looks: bool, notes: tuple[str, ...], path: Path
) -> ExtractedVideo:
    """What was extracted into the folder of a trial."""
    arrays, observed = {}, {}
    for feature, extractor in extractors.items():
        arrays[feature] = np.load(place / f'{extractor.name}.npy', mmap_mode='r')
        mask = place / f'{extractor.name}_valid.npy'
        if mask.is_file():
            observed[feature] = np.load(mask)
    times = np.load(place / 'frame_times.npy')
    track = _track(place, times) if looks else None
    return ExtractedVideo(arrays, observed, times, track, notes, place.name.removeprefix(path.stem)[1:])


def _other_faces(detector: FaceDetector, faces: Mapping[str, Any]) -> list[str]:
    """A note if faces were found in another way for training."""
    here = detector.settings()
    if not faces or all(faces.get(key) == value for key, value in here.items()):
        return []
    differing = ', '.join(
        f'{key} {faces.get(key, "absent")!r}, here {value!r}'
        for key, value in here.items()
        if faces.get(key) != value
    )
    return [f'faces were found in another way for training: {differing}']


def _track(place: Path, times: NDArray[np.float64]) -> FaceTrack:
    from abawfw.datasets.stores.trials.files import TRACK
    from abawfw.extraction.faces.track import FaceTrack

    with np.load(place / TRACK) as stored:
        return FaceTrack(times=times, **{name: stored[name] for name in stored.files})


def compare_extraction(store: FeatureStore, features: Sequence[str], trained: Mapping[str, Any]) -> list[str]:
    """Compare the settings of a store with those of training, for each feature of a run that the store has.

    Args:
        store: whose features are to be predicted from.
        features: of the run.
        trained: settings by feature, and under ``faces``, as the run's checkpoint has them.

    Returns:
        Notes: faces found in another way, for a run that looks at them; another rule of whose the audio is,
        for one that hears it; and features whose settings only one side records. Where one side records none
        at all, there is nothing to compare.

    Raises:
        DataError: a feature was extracted with other settings.
    """
    here = store.extraction
    if not here or not trained:
        return []
    notes = []
    names = set(store.feature_names())
    for feature in (f for f in features if f in names):
        if feature in here and feature in trained:
            if changes := _differences(trained[feature], here[feature]):
                raise DataError(
                    f'{store.root}: feature {feature!r} was extracted with {"; ".join(changes)}: extract the '
                    'store with the settings of training, or take a run that was trained on its own'
                )
        elif feature in here or feature in trained:
            known = 'the store' if feature in here else 'the run'
            notes.append(f'{feature}: only {known} records how it was extracted, so this was not compared')
    looks = any(f in names and shows_faces(f) for f in features)
    if looks and (changes := _differences(recorded(trained.get(FACES, {})), recorded(here.get(FACES, {})))):
        notes.append(f'faces were found in another way for training: {"; ".join(changes)}')
    if any(f in names and source_of(f) == 'audio' for f in features):
        notes += speech_notes(trained.get(SPEECH, {}), here.get(SPEECH, {}))
    return notes


def speech_notes(trained: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Whether audio is given to who speaks as it was for training; settings of the rule, {} for none."""
    if not here and trained:
        return [f"for training, the audio was that of who speaks ({dict(trained)}), here everybody's"]
    if here and not trained:
        return [f"the audio is that of who speaks ({dict(here)}), for training it was everybody's"]
    changes = _differences(trained, here)
    return [f'who speaks was found in another way for training: {"; ".join(changes)}'] if changes else []


def _differences(trained: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Each setting that differs, with both values."""
    return [
        f'{key} {here.get(key, "absent")!r}, for training {trained.get(key, "absent")!r}'
        for key in sorted(trained.keys() | here.keys())
        if trained.get(key, 'absent') != here.get(key, 'absent')
    ]
