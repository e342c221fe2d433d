"""What stands beside the arrays of a trial, so that its folder tells all about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.base import PARTITIONS, VideoInfo
from abawfw.datasets.stores.trial_index import Trial
from abawfw.errors import DataError
from abawfw.files import write_text
from abawfw.json_files import read_json

TRIAL = 'trial.json'


@dataclass(frozen=True)
class FinishedTrial:
    """A trial whose folder is whole.

    Attributes:
        info: name, partition, frames, mean rate.
        masked: features of which some frames were not observed.
        video: name of the video that it is from.
        siblings: names of all trials of that video, this one among them.
        size: bytes of the video's file.
        annotation: what the labels were made from, see `digest`; None without.
    """

    info: VideoInfo
    masked: frozenset[str]
    video: str
    siblings: tuple[str, ...]
    size: int
    annotation: str | None

    def write(self, folder: Path) -> None:
        """Write it into the folder of the trial."""
        content = {
            'trial': self.info.video_id,
            'partition': self.info.partition,
            'length': self.info.num_frames,
            'fps': self.info.fps,
            'labels': self.info.has_labels,
            'valid': sorted(self.masked),
            'video': self.video,
            'siblings': list(self.siblings),
            'size': self.size,
            'annotation': self.annotation,
        }
        write_text(folder / TRIAL, json.dumps(content, indent=1) + '\n')

    def trial(self, root: Path) -> Trial:
        """The same for the index of a store."""
        return Trial(self.info, root / self.info.video_id, self.masked)

    @classmethod
    def read(cls, folder: Path) -> FinishedTrial:
        """Read the file of a folder.

        Raises:
            DataError: it is damaged, or that of another trial.
        """
        path = folder / TRIAL
        try:
            data: dict[str, Any] = read_json(path)
            fps = None if data['fps'] is None else float(data['fps'])
            info = VideoInfo(
                str(data['trial']), str(data['partition']), int(data['length']), fps, bool(data['labels'])
            )
            annotation = None if data['annotation'] is None else str(data['annotation'])
            masked, siblings = frozenset(map(str, data['valid'])), tuple(map(str, data['siblings']))
            found = cls(info, masked, str(data['video']), siblings, int(data['size']), annotation)
        except (DataError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(
                f'{path}: damaged ({error!r}); remove the folder {folder} and extract its video again'
            ) from error
        if info.video_id != folder.name or info.partition not in PARTITIONS or info.num_frames < 1:
            raise DataError(
                f'{path}: is of trial {info.video_id!r}, {info.num_frames} frames, in {info.partition!r}; '
                f'remove the folder {folder} and extract its video again'
            )
        return found


def digest(labels: NDArray) -> str:
    """A short text that differs where labels (rows, 2) differ."""
    values = np.ascontiguousarray(labels, np.float32)
    return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()


def digests(video: str, labels: Mapping[str, NDArray]) -> dict[str, str]:
    """The same by name of the trial, of labels by suffix of the person."""
    return {video + suffix: digest(rows) for suffix, rows in labels.items()}
