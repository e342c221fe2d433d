"""A media file opened: which of its streams are taken, and where its clock starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.extraction.packages import optional_package
from abawfw.files import check_plain

LISTS = ('concat', 'dash', 'hls', 'imf')
"""What PyAV calls files that only name other ones."""


class MediaFile:
    """A video or audio file, open until it is closed; a context manager.

    Metadata need not be UTF-8, a colon in a path is no protocol, and nothing but this file is read.

    Args:
        path: the file.

    Attributes:
        container: PyAV's.

    Raises:
        DataError: it is missing, empty, no plain file or no media file, or PyAV is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._av: Any = optional_package('av', 'features', 'reading videos and audio')
        check_plain(path)
        if not path.is_file():
            raise DataError(f'{path}: no such file')
        if not path.stat().st_size:
            raise DataError(f'{path}: empty file')
        try:
            self.container: Any = self._av.open(
                f'file:{path}', metadata_errors='replace', container_options={'protocol_whitelist': 'file'}
            )
        except (self._av.error.FFmpegError, OSError) as error:
            raise DataError(f'{path}: no video, or a damaged one ({error.strerror})') from error
        if self.container.format.name in LISTS:
            self.close()
            raise DataError(f'{path}: is no video but a list of other files; give one of those')

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    @property
    def audio_streams(self) -> int:
        """Number of its audio streams."""
        return len(self.container.streams.audio)

    def video(self, note: Callable[[str], None] = lambda _: None) -> Any:
        """The video stream that is taken: the largest, then the default, then the first one.

        Args:
            note: called with what is worth knowing of the choice.

        Raises:
            DataError: there is none, or none that can be decoded.
        """
        moving = self._moving()
        if not moving:
            kinds = {'cover image' if s.type == 'video' else s.type for s in self.container.streams}
            raise DataError(
                f'{self.path}: has no video stream (streams: {", ".join(sorted(kinds)) or "none"})'
            )
        chosen = self._chosen_video(moving)
        if chosen is None:
            raise DataError(f'{self.path}: {self._no_decoder("video", moving[0])}')
        if len(moving) > 1:
            place = moving.index(chosen) + 1
            size = f'{chosen.codec_context.width} x {chosen.codec_context.height}'
            note(f'{len(moving)} video streams: number {place} is taken, the largest ({size})')
        return chosen

    def audio(self, note: Callable[[str], None] = lambda _: None) -> Any:
        """The audio stream that is taken, the first that can be decoded; None without any.

        Raises:
            DataError: there is audio, but none that can be decoded.
        """
        streams = self.container.streams.audio
        if not streams:
            return None
        chosen = _first_decodable(streams)
        if chosen is None:
            raise DataError(f'{self.path}: {self._no_decoder("audio", streams[0])}')
        place = streams.index(chosen) + 1
        if place > 1:
            note(f'{len(streams)} audio streams: number {place} is taken, the first that can be decoded')
        elif len(streams) > 1:
            note(f'{len(streams)} audio streams: the first one is taken')
        return chosen

    @property
    def start(self) -> Fraction:
        """Seconds on the clock of the file that are time 0: when its images or its audio start.

        Audio that starts before 0 starts before the images on purpose: it is what an encoder needs to
        begin, and not to be heard.
        """
        images, audio = (
            self._chosen_video(self._moving()),
            _first_decodable(self.container.streams.audio),
        )
        starts = [_start(s) for s in (images, audio) if s is not None and s.start_time is not None]
        if audio is not None and audio.start_time is not None:
            starts[-1] = max(starts[-1], Fraction(0))
        return min(starts, default=Fraction(0))

    def _moving(self) -> list[Any]:
        """Streams of video that are no cover images or thumbnails."""
        kinds = self._av.stream.Disposition
        still = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
        return [s for s in self.container.streams.video if not s.disposition & still]

    def _chosen_video(self, moving: list[Any]) -> Any:
        decodable = [s for s in moving if s.codec_context is not None]
        default = self._av.stream.Disposition.default
        return max(
            decodable,
            key=lambda s: (s.codec_context.width * s.codec_context.height, bool(s.disposition & default)),
            default=None,
        )

    def _no_decoder(self, what: str, stream: Any) -> str:
        """Why a stream cannot be decoded; its kind as FFmpeg prints it, since PyAV has no name for it."""
        logging = self._av.logging
        level = logging.get_level()
        logging.set_level(logging.INFO)
        try:
            text = self.container.dumps_format()
        finally:
            logging.set_level(level)
        line = re.search(rf'Stream #0:{stream.index}\b.*?: (?:Video|Audio): ([^,\n]+)', text)
        kind = f' ({line[1].strip()})' if line else ''
        return (
            f'there is no decoder for its {what}{kind}; convert it with a program that knows it, keeping '
            'every frame and its time'
        )


def _first_decodable(streams: Any) -> Any:
    return next((s for s in streams if s.codec_context is not None), None)


def _start(stream: Any) -> Fraction:
    return Fraction(stream.start_time * stream.time_base)
