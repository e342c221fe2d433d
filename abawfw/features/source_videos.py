"""Which videos a folder holds, and which annotation belongs to which."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from abawfw.datasets.converters.affwild2_files import find_annotations
from abawfw.datasets.stores.checks import plain_name
from abawfw.errors import DataError

ENDINGS = (
    *('.mp4', '.m4v', '.mov', '.mkv', '.avi', '.webm', '.wmv', '.flv', '.mpg', '.mpeg', '.ts', '.mts'),
    *('.3gp', '.ogv'),
)
SUFFIXES = ('', '_left', '_right')
"""Ends of the names of a video's trials: one person, or the left and the right one of two."""


@dataclass(frozen=True)
class SourceVideo:
    """A video to be extracted.

    Attributes:
        video_id: its name, that of the file without ending.
        path: the file.
        partition: ``train``, ``val`` or ``test``.
        annotations: annotation file by suffix of the person: '', '_left', '_right'.
    """

    video_id: str
    path: Path
    partition: str = 'test'
    annotations: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceFolder:
    """What was found: the videos by name, and what of the folders is not used, a line each."""

    videos: tuple[SourceVideo, ...]
    notes: tuple[str, ...]


def find_videos(folder: Path, annotations: Path | None = None) -> SourceFolder:
    """Find the videos of a folder and the folders in it, and their annotations.

    A video without an annotation is of partition 'test'. Annotations ``VIDEO_left.txt`` and
    ``VIDEO_right.txt`` are those of the two persons of VIDEO (spec/affwild2.md).

    Args:
        folder: where the videos are, or a single video.
        annotations: folder with ``Train_Set`` and ``Validation_Set``, or one that holds them in
            ``VA_Estimation_Challenge``.

    Raises:
        DataError: no such folder, or no video in it; two videos of one name; a video with annotations in
            both sets, or a name there in both.
    """
    paths, notes = _files(folder)
    by_name: dict[str, Path] = {}
    for path in paths:
        name = plain_name(path.stem, folder)
        if name in by_name:
            raise DataError(
                f'{by_name[name]} and {path}: two videos of the name {name!r}; rename one of them, since the '
                'name tells them apart in the store'
            )
        by_name[name] = path
    sets: dict[str, dict[str, tuple[str, Path]]] = {name: {} for name in by_name}
    if annotations is not None:
        notes += _match(annotations, sets)
    videos = []
    for name, path in sorted(by_name.items()):
        partitions = {partition for partition, _ in sets[name].values()}
        if len(partitions) > 1:
            listed = ' and '.join(str(file) for _, file in sets[name].values())
            raise DataError(f'{listed}: the persons of one video are in two sets; keep them in one')
        files = {suffix: file for suffix, (_, file) in sets[name].items()}
        videos.append(SourceVideo(name, path, partitions.pop() if partitions else 'test', files))
    return SourceFolder(tuple(videos), tuple(notes))


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """The videos, and what is left out, a line each."""
    if folder.is_file():
        return [folder], []
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder; give the folder of the videos')
    files, notes = _below(folder)
    videos = [path for path in files if path.suffix.lower() in ENDINGS]
    if not videos:
        raise DataError(f'{folder}: no video in it; files ending in {", ".join(ENDINGS)} are taken')
    taken = set(videos)
    others = [f'{path}: is no video by its ending, left out' for path in files if path not in taken]
    return videos, sorted(notes + others)


def _below(folder: Path) -> tuple[list[Path], list[str]]:
    """All files in a folder and in those below it, sorted, but for hidden ones; links are followed.

    Returns:
        The files, and what was left out, a line each: folders that are read already, without which links in a
        circle would never end, and what cannot be read.
    """
    files, notes, seen = list[Path](), list[str](), dict[tuple[int, int], str]()

    def unreadable(error: OSError) -> None:
        notes.append(f'{error.filename}: cannot be read ({error.strerror}), left out')

    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        if root == str(folder):
            seen[_identity(root)] = root
        for name in sorted(folders):
            below = os.path.join(root, name)
            if name.startswith('.'):
                folders.remove(name)
            elif (first := seen.setdefault(_identity(below), below)) != below:
                folders.remove(name)
                notes.append(f'{below}: is the folder {first} again, left out')
        folders.sort()
        for path in (Path(root, name) for name in names if not name.startswith('.')):
            if path.is_file():
                files.append(path)
            else:
                what = 'a link to nothing' if path.is_symlink() else 'no plain file'
                notes.append(f'{path}: is {what}, left out')
    return sorted(files), notes


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _match(annotations: Path, sets: dict[str, dict[str, tuple[str, Path]]]) -> list[str]:
    """Enter every annotation with its video; returns what has none."""
    if not annotations.is_dir():
        raise DataError(f'{annotations}: no such folder; give the one with Train_Set and Validation_Set')
    seen: dict[str, Path] = {}
    lonely = []
    for partition, paths in find_annotations(annotations).items():
        for path in paths:
            if path.stem in seen:
                raise DataError(f'{seen[path.stem]} and {path}: one video in two sets; remove one of them')
            seen[path.stem] = path
            video, suffix = _owner(path.stem, sets)
            if video is None:
                lonely.append(path.stem)
            else:
                sets[video][suffix] = partition, path
    if not lonely:
        return []
    more = f' and {len(lonely) - 5} more' if len(lonely) > 5 else ''
    return [f'{annotations}: no video for {len(lonely)} annotations: {", ".join(lonely[:5])}{more}']


def _owner(name: str, videos: dict[str, dict[str, tuple[str, Path]]]) -> tuple[str | None, str]:
    """The video that an annotation is of, by its name, and which of its persons; None where there is none."""
    for suffix in SUFFIXES:  # a video named like the annotation goes before one of two persons
        video = name.removesuffix(suffix)
        if name.endswith(suffix) and video in videos:
            return video, suffix
    return None, ''


def annotated_persons(suffixes: Collection[str]) -> dict[str, str]:
    """Suffix of the trial -> suffix of the person in the picture, of the persons that are annotated.

    Beside one of ``_left`` and ``_right``, an annotation named like the video is of the other person.
    """
    sides = [suffix for suffix in SUFFIXES[1:] if suffix in suffixes]
    found = {suffix: suffix for suffix in sides}
    if '' in suffixes:
        (other, *_) = [suffix for suffix in SUFFIXES[1:] if suffix not in sides] if len(sides) == 1 else ['']
        found[''] = other
    return found
