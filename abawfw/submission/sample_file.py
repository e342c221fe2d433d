"""The official sample of a submission: which rows are expected, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from abawfw.errors import DataError, counted

HEADER = 'image_location,valence,arousal'
TOLERANCE = 2  # frames; videos and their labels differ by this much, see docs/challenge.md
SHOWN = 20  # problems listed by name
ROW = re.compile(r'([^,]+)/(\d+)\.jpg')


class SampleFile:
    """Rows ``VIDEO/00001.jpg`` of an official sample (docs/challenge.md: submission from 2023).

    Attributes:
        rows: image locations in the order of the file.
        videos: video of each row.
        frames: 0-based frame of each row, (rows,).

    Raises:
        DataError: the file cannot be read, its header is another, or rows are malformed or repeated; all that
            is wrong is listed at once.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            lines = self.path.read_text(encoding='utf-8-sig').splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f'cannot read the sample {path}: {error}') from error
        problems = []
        header = lines[0].strip() if lines else ''
        if header != HEADER:
            problems.append(f'line 1: header {header!r}, expected {HEADER!r}')
        self.rows: list[str] = []
        self.videos: list[str] = []
        frames: list[int] = []
        seen: set[str] = set()
        for number, line in enumerate(lines[1:], 2):
            location = line.split(',', 1)[0].strip()
            match = ROW.fullmatch(location)
            if match is None or int(match[2]) < 1:
                problems.append(f'line {number}: {line!r}, expected VIDEO/00001.jpg')
                continue
            if location in seen:
                problems.append(f'line {number}: {location} occurs in the sample twice')
            seen.add(location)
            self.rows.append(location)
            self.videos.append(match[1])
            frames.append(int(match[2]) - 1)
        if not self.rows:
            problems.append('no row')
        if problems:
            raise DataError(f'the sample {path} is not usable:\n' + listed(problems))
        self.frames = np.array(frames, dtype=np.int64)

    def lengths(self) -> dict[str, int]:
        """Frames that each video needs, in the order of the sample."""
        needed: dict[str, int] = {}
        for video, frame in zip(self.videos, self.frames.tolist(), strict=True):
            needed[video] = max(needed.get(video, 0), frame + 1)
        return needed

    def fit(self, lengths: Mapping[str, int], allow_repair: int = 0) -> list[str]:
        """Compare with the predicted number of frames of each video.

        Args:
            lengths: frames predicted, by video.
            allow_repair: difference in frames to accept beyond the tolerance of 2.

        Returns:
            What is to be repaired, one line per video: the last value repeated, or predictions left out.

        Raises:
            DataError: videos are missing, or differ by more frames than allowed; all are listed.
        """
        limit = max(TOLERANCE, allow_repair)
        problems, repairs = [], []
        for video, needed in self.lengths().items():
            if not lengths.get(video):
                problems.append(f'{video}: {counted(needed, "row")} in the sample, no predictions')
                continue
            difference = lengths[video] - needed
            text = f'{video}: {counted(needed, "row")} in the sample, {counted(lengths[video], "prediction")}'
            if abs(difference) > limit:
                problems.append(f'{text}; at most {limit} are repaired')
            elif difference < 0:
                repairs.append(f'{text}: the last value is repeated {-difference} x')
            elif difference > 0:
                repairs.append(f'{text}: the last {difference} are left out')
        known = set(self.videos)
        repairs += [f'{video}: not in the sample, left out' for video in lengths if video not in known]
        if problems:
            way_out = '\npredict what is missing, or accept larger differences with --allow-repair N'
            everything = '\n'.join(f'  {line}' for line in problems)  # all are needed to repair them
            raise DataError(f'predictions do not fit the sample {self.path}:\n{everything}{way_out}')
        return repairs


def listed(problems: list[str]) -> str:
    """Problems one per line, the first 20 of them."""
    more = [f'and {len(problems) - SHOWN} more'] if len(problems) > SHOWN else []
    return '\n'.join(f'  {line}' for line in [*problems[:SHOWN], *more])
