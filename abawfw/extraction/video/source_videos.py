"""Which videos a folder holds, and which annotation belongs to which."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from abawfw.datasets.importers.affwild2_files import find_annotations, unused_annotations
from abawfw.datasets.stores.checks import plain_name
from abawfw.errors import DataError, few

ENDINGS = (
    *(
        '.3g2',
        '.3gp',
        '.asf',
        '.avi',
        '.divx',
        '.dv',
        '.f4v',
        '.flv',
        '.gif',
        '.m1v',
        '.m2t',
        '.m2ts',
        '.m2v',
    ),
    *('.m4v', '.mkv', '.mov', '.mp4', '.mpe', '.mpeg', '.mpg', '.mts', '.mxf', '.ogm', '.ogv', '.ps', '.qt'),
    *('.ts', '.vob', '.webm', '.wmv'),
)
"""What is a video in a folder, also in capital letters; a file that is named itself may end as it likes."""
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
    """What was found.

    Attributes:
        videos: by name.
        notes: what of the folders is not used, and what was assumed, a line each.
        refused: videos whose names are not unique or not usable, with the reason.
    """

    videos: tuple[SourceVideo, ...]
    notes: tuple[str, ...]
    refused: dict[str, str] = field(default_factory=dict)


def find_videos(folder: Path, annotations: Path | None = None) -> SourceFolder:
    """Find the videos of a folder and the folders in it, links followed, and their annotations.

    A video without an annotation is of partition 'test'. Annotations ``VIDEO_left.txt`` and
    ``VIDEO_right.txt`` are those of the two persons of VIDEO (docs/challenge.md). Names are the same in any
    Unicode form.

    Args:
        folder: where the videos are, or a single video.
        annotations: folder with ``Train_Set`` and ``Validation_Set``, or one that holds them in
            ``VA_Estimation_Challenge``.

    Raises:
        DataError: no such folder, or no video in it that can be used; a video with annotations in both sets,
            or a name there in both.
    """
    paths, notes = _files(folder)
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(normalize('NFC', path.stem), []).append(path)
    refused = {name: reason for name, same in sorted(by_name.items()) if (reason := _refusal(same))}
    if len(refused) == len(by_name):
        raise DataError('\n  '.join([f'{folder}: no video in it can be used:', *refused.values()]))
    sets: dict[str, dict[str, tuple[str, Path]]] = {name: {} for name in by_name}
    if annotations is not None:
        notes += _match(annotations, sets)
    videos = []
    for name, (path, *_) in sorted(by_name.items()):
        if name in refused:
            continue
        partitions = {partition for partition, _ in sets[name].values()}
        if len(partitions) > 1:
            listed = ' and '.join(str(file) for _, file in sets[name].values())
            raise DataError(f'{listed}: the persons of one video are in two sets; keep them in one')
        files = {suffix: file for suffix, (_, file) in sets[name].items()}
        notes += [
            f'{file}: taken for the annotation of {path.name}, whose name is the same in another Unicode form'
            for suffix, file in files.items()
            if file.stem != path.stem + suffix
        ]
        videos.append(SourceVideo(path.stem, path, partitions.pop() if partitions else 'test', files))
    return SourceFolder(tuple(videos), tuple(notes), refused)


def _refusal(same: list[Path]) -> str | None:
    """Why files whose names are the same cannot be used; None for one with a good name."""
    first = same[0]
    if len(same) > 1:
        listed = ' and '.join(map(str, same))
        apart = '' if all(p.stem == first.stem for p in same) else ' that differ in Unicode form only'
        return (
            f'{listed}: two videos of the name {first.stem!r}{apart}; rename one of them, since the name '
            'identifies the video'
        )
    if unreadable := _no_text(first.stem):
        return unreadable
    try:
        plain_name(first.stem, first)
    except DataError as error:
        return str(error)
    return None


def _no_text(name: str) -> str | None:
    """Why a name cannot be written into files, or None: its bytes are of another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return (
            f'{name!r}: this name is no text in the encoding of this locale ({sys.getfilesystemencoding()}); '
            'rename the video, or set the locale that it was named in, such as LC_ALL=C.UTF-8'
        )
    return None


def named(folder: Path, name: str) -> Path:
    """What is called so in a folder, in whatever Unicode form; where nothing is, the place of the name."""
    path = folder / name
    if name.isascii() or path.exists() or not folder.is_dir():
        return path
    form = normalize('NFC', name)
    return next((other for other in folder.iterdir() if normalize('NFC', other.name) == form), path)


def not_creatable(folder: Path, video: str, longest: str) -> str | None:
    """Why files named like a video cannot be made, or None: found by making one, before hours of work.

    Args:
        folder: where they will be; it can be written.
        video: its name.
        longest: the longest name that is made of it.
    """
    if problem := _no_text(video):
        return problem
    try:
        (folder / longest).touch(exist_ok=False)
        (folder / longest).unlink()
    except UnicodeEncodeError:
        return (
            f'{video!r}: no file of this name can be made in this locale ({sys.getfilesystemencoding()}); '
            'set another one, such as LC_ALL=C.UTF-8'
        )
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            return f'{folder}: no file of the name {video!r} can be made ({error.strerror}); rename the video'
        over = len(os.fsencode(longest)) - os.pathconf(folder, 'PC_NAME_MAX')
        if over <= 0:
            return f'{folder}: the path is too long for files of the video {video!r}; choose another folder'
        return (
            f'{video!r}: the name of this video is too long for the files made of it; rename it, {over} '
            'bytes shorter'
        )
    return None


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """The videos, and notes on what is omitted."""
    if folder.is_file():
        return [folder], []
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder; give the folder of the videos')
    videos: dict[tuple[Path, str], Path] = {}
    others: list[str] = []
    notes: list[str] = []
    for path in _walk(folder, notes):
        if not path.is_file():
            what = 'a link to nothing' if path.is_symlink() else 'no plain file'
            notes.append(f'{path}: is {what}, omitted')
        elif path.suffix.lower() not in ENDINGS:
            others.append(str(path.relative_to(folder)))
        elif (there := videos.setdefault((path.resolve(), path.stem), path)) != path:
            notes.append(f'{path}: is the file {there} again, omitted')
    if not videos:
        raise DataError(f'{folder}: no video in it; files ending in {", ".join(ENDINGS)} are taken')
    if others:
        notes.append(f'{folder}: omitted, since they are no videos by their ending: {few(others)}')
    return list(videos.values()), sorted(notes)


def _walk(folder: Path, notes: list[str]) -> Iterator[Path]:
    """What is in a folder and those in it or linked there, each once; hidden ones are omitted."""

    def unreadable(error: OSError) -> None:
        notes.append(f'{error.filename}: cannot be read ({error.strerror}), omitted')

    seen: dict[str, str] = {}
    for parent, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        there = seen.setdefault(os.path.realpath(parent), parent)
        if there != parent:
            notes.append(f'{parent}: is the folder {there} again, omitted')
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith('.'))


def _match(annotations: Path, sets: dict[str, dict[str, tuple[str, Path]]]) -> list[str]:
    """Enter every annotation with its video; returns what has none, and what is not read."""
    if not annotations.is_dir():
        raise DataError(f'{annotations}: no such folder; give the one with Train_Set and Validation_Set')
    seen: dict[str, Path] = {}
    lonely = []
    for partition, paths in find_annotations(annotations).items():
        for path in paths:
            name = normalize('NFC', path.stem)
            if name in seen:
                same = (
                    'one video in two sets'
                    if seen[name].stem == path.stem
                    else 'one name in two Unicode forms'
                )
                raise DataError(f'{seen[name]} and {path}: {same}; remove one of them')
            seen[name] = path
            video, suffix = _owner(name, sets)
            if video is None:
                lonely.append(path.stem)
            else:
                sets[video][suffix] = partition, path
    notes = [f'{annotations}: no video for {len(lonely)} annotations: {few(lonely)}'] if lonely else []
    return notes + unused_annotations(annotations)


def _owner(name: str, videos: dict[str, dict[str, tuple[str, Path]]]) -> tuple[str | None, str]:
    """The video that an annotation is of, by its name, and which of its persons; None where there is none."""
    for suffix in SUFFIXES:  # a video named like the annotation goes before one of two persons
        video = name.removesuffix(suffix)
        if name.endswith(suffix) and video in videos:
            return video, suffix
    return None, ''


def annotated_persons(suffixes: Collection[str]) -> dict[str, str]:
    """Suffix of the trial -> suffix of the person in the image, for the persons that are annotated.

    Beside one of ``_left`` and ``_right``, an annotation named like the video is of the other person.
    """
    sides = [suffix for suffix in SUFFIXES[1:] if suffix in suffixes]
    found = {suffix: suffix for suffix in sides}
    if '' in suffixes:
        (other, *_) = [suffix for suffix in SUFFIXES[1:] if suffix not in sides] if len(sides) == 1 else ['']
        found[''] = other
    return found
