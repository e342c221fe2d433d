"""The page on which videos are rated: what tools/annotate.py writes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from abawfw.apis.report import check_page
from abawfw.errors import DataError
from abawfw.extraction.video.media_file import MediaFile
from abawfw.extraction.video.source_videos import find_videos
from abawfw.files import write_text
from abawfw.visualization.annotation_page import RatedVideo, annotation_page

NAME = 'labels.html'
PLAYED = {
    'mp4': ('h264', 'av1', 'vp9'),
    'webm': ('vp8', 'vp9', 'av1'),
}
"""Codecs of images, by FFmpeg's names, that current browsers play, by the ending of a container's files."""
HEARD = ('aac', 'mp3', 'mp3float', 'opus', 'libopus', 'vorbis', 'flac')
PIXELS = ('yuv420p', 'yuvj420p')
"""8 bits, and colours at half the resolution: others are played by some browsers only."""
CONVERTED = 'playable'
"""Folder of the videos that the command converts, below the current one."""


def write_annotation_page(
    videos: Sequence[Path | str], out: Path | str = NAME, tell: Callable[[str], None] = lambda _: None
) -> Path:
    """Write the page on which videos are rated. It finds them where they are now, seen from the page.

    Args:
        videos: files, or folders whose videos are taken.
        out: file to write.
        tell: called with a line on everything that is omitted, and on every video that a browser may not
            play, with the command that converts it.

    Returns:
        The file, written whole or not at all.

    Raises:
        ConfigError: the file cannot be written, or its name is not that of a page.
        DataError: there is no such video, or none at all; one is damaged or has no images; two have one name.
    """
    out = Path(out)
    found: dict[str, Path] = {}
    for place in map(Path, videos):
        if not place.exists():
            raise DataError(f'{place}: no such video or folder of videos')
        folder = find_videos(place)
        for note in (*folder.notes, *folder.refused.values()):
            tell(note)
        for video in folder.videos:
            there = found.setdefault(video.video_id, video.path)
            if there.resolve() != video.path.resolve():
                raise DataError(
                    f'{there} and {video.path}: two videos of the name {video.video_id!r}, which is that of '
                    'their labels; rename one, or write a page for each with another --out'
                )
    if not found:
        raise DataError('no video: name at least one, or a folder of videos')
    check_page(out, NAME)
    rated = [_rated(name, path, out) for name, path in found.items()]
    for one in rated:
        if one.problem:
            path = found[one.id]
            tell(f'{path}: {one.problem}; convert it where the page cannot play it:\n  {one.command}')
    write_text(out, annotation_page(rated))
    return out


def _rated(name: str, path: Path, out: Path) -> RatedVideo:
    with MediaFile(path) as file:
        stream = file.video()
        problem = _problem(file, stream)
        seconds = _seconds(file, stream)
        width, height = stream.codec_context.width, stream.codec_context.height
    address = quote(os.fsencode(os.path.relpath(path.resolve(), out.resolve().parent)))
    command = _command(name, path, width, height)
    return RatedVideo(name, path.name, address, path.stat().st_size, seconds, problem, command)


def _seconds(file: MediaFile, stream: Any) -> float:
    """Duration as the container states it, else until the last frame ends, as in what a browser records."""
    if file.container.duration:
        return file.container.duration / 1e6
    from av.error import FFmpegError

    end = file.start
    with suppress(FFmpegError):  # a damaged file plays until there
        for packet in file.container.demux(stream):
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * stream.time_base)
    return float(end - file.start)


def _problem(file: MediaFile, stream: Any) -> str:
    """Why a browser may not play a file; empty if every current one should."""
    codec, pixels = stream.codec_context.codec.canonical_name, stream.codec_context.pix_fmt
    name, ending = file.container.format.name, file.path.suffix.lower()
    kind = 'mp4' if 'mp4' in name else ending[1:]  # FFmpeg has one name for WebM and Matroska
    if kind not in PLAYED or kind not in name:
        return f'browsers play MP4 and WebM, and this is {name} ({codec})'
    if codec not in PLAYED[kind]:
        return f'its images are {codec}, and browsers play {", ".join(PLAYED[kind])} in {kind}'
    if pixels not in PIXELS:
        return f'its images are {codec} in {pixels}, which some browsers do not play'
    audio = file.audio()
    if audio is not None and audio.codec_context.codec.canonical_name not in HEARD:
        return f'its audio is {audio.codec_context.codec.canonical_name}, which browsers play without sound'
    return ''


def _command(name: str, path: Path, width: int, height: int) -> str:
    """What converts a video, keeping every image and its time; its name stays, since labels go by it."""
    even = '' if width % 2 == height % 2 == 0 else ' -vf "pad=ceil(iw/2)*2:ceil(ih/2)*2"'
    new = shlex.quote(f'{CONVERTED}/{name}.mp4')
    return (
        f'mkdir -p {CONVERTED} && ffmpeg -i {shlex.quote(str(path))} -fps_mode passthrough -c:v libx264 '
        f'-pix_fmt yuv420p{even} -c:a aac -movflags +faststart {new}'
    )
