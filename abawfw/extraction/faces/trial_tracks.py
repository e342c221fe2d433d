"""Which persons of a video get a trial, and where their faces are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.extraction.faces.crop_folder import CropFolder
from abawfw.extraction.faces.detectors.base import FaceDetector
from abawfw.extraction.faces.track import FaceTrack, find_faces
from abawfw.extraction.video.recording import Recording
from abawfw.extraction.video.source_videos import SUFFIXES, annotated_persons, named

HOLD = 0.5
"""Seconds over which a face is held while it is not found."""


@dataclass(frozen=True)
class TrialTracks:
    """The trials of a video.

    Attributes:
        times: (frames,) seconds at which each frame is shown.
        tracks: face by suffix of the trial; None where no face was looked for.
        notes: what was missing or assumed, a line each.
    """

    times: NDArray[np.float64]
    tracks: dict[str, FaceTrack | None]
    notes: tuple[str, ...] = ()


def find_trials(
    recording: Recording,
    faces: FaceDetector | CropFolder | None,
    annotated: Collection[str] = (),
    persons: int = 1,
    hold: float = HOLD,
) -> TrialTracks:
    """Read a video once for the times of its frames and the faces in it.

    Args:
        recording: the video.
        faces: finds the faces, or has official crops; None: only times are read.
        annotated: suffixes of the persons that are annotated; only these get a trial, if there are any. They
            do even without a face, since there is more to a video than faces.
        persons: 1 or 2, how many are followed if none is annotated.
        hold: seconds over which a face is held while it is not found.

    Raises:
        DataError: the video cannot be read, or the crops are not its own.
    """
    if faces is None:
        times = np.array([frame.time for frame in recording.frames()], np.float64)
        return TrialTracks(times, dict.fromkeys(annotated or ('',)))
    if isinstance(faces, CropFolder):
        return _from_crops(recording, faces, annotated)
    wanted = annotated_persons(annotated)
    both = persons == 2 or any(wanted.values())
    found = {t.suffix: t for t in find_faces(recording, faces, 2 if both else 1, hold)}
    times = next(iter(found.values())).times
    if not wanted:
        return TrialTracks(times, dict(found))
    tracks, notes = dict[str, FaceTrack | None](), []
    for trial, person in wanted.items():
        if person in found:
            tracks[trial] = found[person]
        elif set(found) == {''} and len(wanted) == 1:  # only one of two persons is ever in the image
            tracks[trial] = found['']
        else:
            tracks[trial] = FaceTrack.empty(times, trial)
            name = recording.path.stem + trial
            notes.append(f'{name}: annotated, but only one person was found: no face in any frame')
        if trial != person:
            name = recording.path.stem
            notes.append(f'{name}: annotated beside another person; taken to be the {person[1:]} one')
    return TrialTracks(times, tracks, tuple(notes))


def _from_crops(recording: Recording, crops: CropFolder, annotated: Collection[str]) -> TrialTracks:
    times, known = np.array([frame.time for frame in recording.frames()], np.float64), len(crops.notes)
    name = recording.path.stem
    there = [suffix for suffix in SUFFIXES if named(crops.root, f'{name}{suffix}').is_dir()]
    wanted = [suffix for suffix in SUFFIXES if suffix in annotated] or there
    missing = [f'{name}{suffix}' for suffix in wanted if suffix not in there]
    if missing or not wanted:
        raise DataError(f'{crops.root}: no folder {", ".join(missing) or name} with crops of this video')
    tracks = {suffix: crops.track(f'{name}{suffix}', len(times), times) for suffix in wanted}
    return TrialTracks(times, dict(tracks), tuple(crops.notes[known:]))
