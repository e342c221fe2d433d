"""Which persons of a video get a trial, and where their faces are: found, or cropped by others."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import FRAMES_APART
from abawfw.errors import DataError, nearest
from abawfw.extraction.faces.detectors.base import FaceDetector
from abawfw.extraction.faces.track import SIZE, FaceTrack, follow_faces
from abawfw.extraction.packages import optional_package
from abawfw.extraction.video.recording import Recording
from abawfw.extraction.video.source_videos import SUFFIXES, annotated_persons, named
from abawfw.files import read_plain

HOLD = 0.5
"""Seconds over which a face is held while it is not found."""


@dataclass(frozen=True)
class TrialTracks:
    """The trials of a video.

    Attributes:
        times: (frames,) seconds at which each frame is shown.
        tracks: face by suffix of the trial; None where no face was looked for.
        notes: what was missing or assumed, a line each.
        others: tracks of persons who have no trial, where they were asked for.
    """

    times: NDArray[np.float64]
    tracks: dict[str, FaceTrack | None]
    notes: tuple[str, ...] = ()
    others: tuple[FaceTrack, ...] = ()


def find_trials(
    recording: Recording,
    faces: FaceDetector | CropFolder | None,
    annotated: Collection[str] = (),
    persons: int | str = 1,
    others: bool = False,
) -> TrialTracks:
    """Read a video once for the times of its frames and the faces in it.

    Args:
        recording: the video.
        faces: finds the faces, or has official crops; None: only times are read.
        annotated: suffixes of the persons that are annotated; only these get a trial, if there are any. They
            do even without a face, since there is more to a video than faces.
        persons: how many are followed if none is annotated, or 'all'; see `find_faces`.
        others: whether tracks of persons without a trial are wanted.

    Raises:
        DataError: the video cannot be read, the crops are not its own, or annotations are of three persons.
    """
    if faces is None:
        times = np.array([frame.time for frame in recording.frames()], np.float64)
        return TrialTracks(times, dict.fromkeys(annotated or ('',)))
    if isinstance(faces, CropFolder):
        return _from_crops(recording, faces, annotated)
    wanted = annotated_persons(annotated)
    if len(wanted) > 2:
        name = recording.path.stem
        raise DataError(
            f'annotations of {", ".join(name + trial for trial in SUFFIXES)}: which of the two persons is '
            f'{name}? Keep {name} alone, or the other two'
        )
    if wanted:  # one who is annotated alone is the one seen largest and longest
        persons = 2 if any(wanted.values()) else 1
    people, rest = follow_faces(recording, faces, persons, HOLD, others)
    found, times = {t.suffix: t for t in people}, people[0].times
    if not wanted:
        return TrialTracks(times, dict(found), (), tuple(rest))
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
    taken = [id(track) for track in tracks.values()]
    rest += [track for track in people if id(track) not in taken]
    return TrialTracks(times, tracks, tuple(notes), tuple(rest))


def _from_crops(recording: Recording, crops: CropFolder, annotated: Collection[str]) -> TrialTracks:
    times, known = np.array([frame.time for frame in recording.frames()], np.float64), len(crops.notes)
    name = recording.path.stem
    there = crops.persons(name)
    wanted = [suffix for suffix in SUFFIXES if suffix in annotated] or there
    missing = [f'{name}{suffix}' for suffix in wanted if suffix not in there]
    if missing or not wanted:
        raise DataError(f'{crops.root}: no folder {", ".join(missing) or name} with crops of this video')
    tracks = {suffix: crops.track(f'{name}{suffix}', times) for suffix in wanted}
    return TrialTracks(times, dict(tracks), tuple(crops.notes[known:]))


KINDS = ('.jpg', '.jpeg', '.png')


class CropFolder:
    """Aligned faces in root/VIDEO/00001.jpg, numbered from 1; a number that is missing is a frame without.

    Args:
        root: folder of one folder per video, two for a video of two persons (VIDEO_left, VIDEO_right).

    Attributes:
        root: as given.
        notes: crops beyond the end of a video, which were omitted; a line each.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.notes: list[str] = []
        if not self.root.is_dir():
            raise DataError(f'{self.root}: no such folder of crops')

    def persons(self, video: str) -> list[str]:
        """Suffixes of the persons of a video who have a folder."""
        return [suffix for suffix in SUFFIXES if named(self.root, f'{video}{suffix}').is_dir()]

    def track(self, video: str, times: NDArray[np.float64]) -> FaceTrack:
        """In which frames there is a face.

        Args:
            video: name of its folder.
            times: (frames,) seconds at which frames are shown.

        Returns:
            A track without boxes and points; scores are 1 where there is a crop.

        Raises:
            DataError: no such folder, a file that is no numbered image, or crops more than two frames
                beyond the end of the video.
        """
        track = FaceTrack.empty(times)
        found = np.zeros(len(times), np.bool_)
        found[[number - 1 for number in self._files(video, len(times))]] = True
        return replace(track, found=found, scores=found.astype(np.float32))

    def crops(self, video: str, num_frames: int, size: int = SIZE) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The faces, frame by frame.

        Args:
            video: name of its folder.
            num_frames: frames of the video.
            size: side to which crops are brought.

        Yields:
            Index of the frame, from 0, and its face (size, size, 3), zeros where there is none.

        Raises:
            DataError: as `track`, and an image that is damaged or not square.
        """
        files = self._files(video, num_frames)
        for index in range(num_frames):
            path = files.get(index + 1)
            yield index, np.zeros((size, size, 3), np.uint8) if path is None else _read(path, size)

    def digest(self, video: str) -> str:
        """A short text that differs where names or sizes of the crops of a video differ; see `track`."""
        listed = [f'{path.name} {path.stat().st_size}\n' for path in self._files(video).values()]
        return hashlib.blake2b(''.join(listed).encode(), digest_size=16).hexdigest()

    def _files(self, video: str, num_frames: int | None = None) -> dict[int, Path]:
        """The images of a video by their number; all of them, or those of so many frames."""
        folder = named(self.root, video)
        if not folder.is_dir():
            known = (path.name for path in self.root.iterdir() if path.is_dir())
            raise DataError(f"{self.root}: no crops of the video '{video}': {nearest(video, known)}")
        files: dict[int, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.name.startswith('.'):
                continue  # files of the desktop
            if path.suffix.lower() not in KINDS or not path.stem.isdecimal() or not int(path.stem):
                raise DataError(f'{path}: is no crop; crops are named 00001.jpg, 00002.jpg, ...')
            if int(path.stem) in files:
                raise DataError(f'{path}: frame {int(path.stem)} again, beside {files[int(path.stem)].name}')
            files[int(path.stem)] = path
        last = max(files, default=0)
        if num_frames is not None and last > num_frames:
            if last > num_frames + FRAMES_APART:
                raise DataError(f'{files[last]}: the video has {num_frames} frames: crops of another video?')
            beyond = [files.pop(number).name for number in sorted(files) if number > num_frames]
            text = f'{video}: the video has {num_frames} frames, omitted: {", ".join(beyond)}'
            self.notes += [text] if text not in self.notes else []
        return files


def _read(path: Path, size: int) -> NDArray[np.uint8]:
    cv2: Any = optional_package('cv2', 'features', 'reading crops')
    content = np.frombuffer(read_plain(path), np.uint8)
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except cv2.error:  # it states more pixels than OpenCV reads
        image = None
    if image is None:
        raise DataError(f'{path}: damaged, or no image')
    height, width = image.shape[:2]
    if height != width:
        raise DataError(f'{path}: {width} x {height}: aligned crops are square; give the folder of those')
    if width != size:
        way = cv2.INTER_AREA if width > size else cv2.INTER_LINEAR
        image = cv2.resize(image, (size, size), interpolation=way)
    return np.ascontiguousarray(image[..., ::-1])
