"""Which videos belong together, because one person, or one session, is in all of them.

Videos of one person are no independent observations. So no fold may part them, and whatever draws or
exchanges videos (intervals, tests, nested cross-validation) draws whole groups.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from abawfw.errors import DataError, counted, few, nearest
from abawfw.text_files import read_csv

COLUMNS = ('video', 'group')
LISTED = 10  # videos that a message names one by one
PERSON = re.compile(r'_(left|right|person\d+)\Z')
"""Ends of names of videos that show one person each of the same recording, as in Aff-Wild2 and extraction."""


@dataclass(frozen=True)
class Groups:
    """The group of every video whose group is known.

    Attributes:
        of: name of the group by video; a video that is not in it counts as a group of its own.
    """

    of: Mapping[str, str] = field(default_factory=dict)

    def units(self, videos: Iterable[str]) -> list[list[str]]:
        """The videos group by group, in the order in which each group first comes."""
        found: dict[tuple[bool, str], list[str]] = {}
        for video in videos:
            # a video without a group may have the name of one
            found.setdefault((video in self.of, self.of.get(video, video)), []).append(video)
        return list(found.values())

    def among(self, videos: Iterable[str]) -> Groups:
        """The groups of these videos alone."""
        return Groups({video: self.of[video] for video in videos if video in self.of})

    def unit(self, videos: Iterable[str]) -> str:
        """What is drawn: 'group', or 'video' where the group of none is known."""
        return 'group' if any(video in self.of for video in videos) else 'video'

    def text(self, videos: Collection[str]) -> str:
        """What is drawn, in words: '12 groups (96 videos)', or '76 videos, no groups known'."""
        known = sum(video in self.of for video in videos)
        if not known:
            return f'{counted(len(videos), "video")}, no groups known'
        text = f'{counted(len(self.units(videos)), "group")} ({counted(len(videos), "video")}'
        if known < len(videos):
            text += f'; the group of {len(videos) - known} is unknown, each counts as one of its own'
        return f'{text})'

    @classmethod
    def read(cls, path: Path, videos: Sequence[str], needed: Collection[str]) -> Groups:
        """Read a CSV file with the header ``video,group`` and a row per video.

        Args:
            path: the file.
            videos: all that may stand in it.
            needed: those that must.

        Raises:
            DataError: it is no such table, or names a video that there is not, or one twice, or lacks one.
        """
        if not path.is_file():
            raise DataError(f'{path}: is no plain file; write a table with the header {",".join(COLUMNS)}')
        rows = read_csv(path)
        header = tuple(cell.strip() for cell in rows[0]) if rows else ()
        if header != COLUMNS:
            raise DataError(f'{path}, line 1: {",".join(header)!r}, expected the header {",".join(COLUMNS)}')
        found: dict[str, str] = {}
        problems: list[str] = []
        known = set(videos)
        for number, row in enumerate(rows[1:], 2):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != len(COLUMNS) or not all(cells):
                problems.append(f'line {number}: {",".join(row)!r}, expected a video and its group')
            elif cells[0] in found:
                problems.append(f'line {number}: video {cells[0]!r} stands there twice')
            elif cells[0] not in known:
                problems.append(f'line {number}: no video {cells[0]!r}; {nearest(cells[0], known)}')
            else:
                found[cells[0]] = cells[1]
        if not problems and (
            missing := [video for video in videos if video in needed and video not in found]
        ):
            problems.append(f'no group of {few(missing, LISTED)}')
        if problems:
            more = f'\n  and {len(problems) - LISTED} more' if len(problems) > LISTED else ''
            raise DataError(
                f'{path}: mend these lines, or remove the file to have no groups:\n  '
                + '\n  '.join(problems[:LISTED])
                + more
            )
        return cls(found)

    def to_csv(self) -> str:
        """What ``read`` reads."""
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerows([COLUMNS, *self.of.items()])
        return text.getvalue()


def session_of(video_id: str) -> str:
    """The recording that a video was taken from, by its name: without ``_left`` or ``_person1``."""
    return PERSON.sub('', video_id)


def known_groups(videos: Mapping[str, str | None]) -> Groups:
    """The groups that data say, and, of videos without, those that their names say.

    ``NAME_left`` and ``NAME_right`` (and ``NAME``) are of one recording, as in Aff-Wild2, and so are
    ``NAME_person1``, ``NAME_person2`` and so on.

    Args:
        videos: the group that the data say by video, or None.
    """
    sessions: dict[str, list[str]] = {}
    for video, group in videos.items():
        if group is None:
            sessions.setdefault(session_of(video), []).append(video)
    by_name = {video: session for session, of in sessions.items() if len(of) > 1 for video in of}
    return Groups({v: g for v in videos if (g := videos[v] or by_name.get(v)) is not None})
