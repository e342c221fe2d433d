"""In which frames of val a face was found, as a file beside the predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.errors import DataError, counted
from abawfw.evaluation.functional import stretches
from abawfw.evaluation.side_files import write_or_remove
from abawfw.json_files import read_json

NAME = 'val_faces.json'
AGAIN = 'write it again with: python tools/test.py RUN'


def write_faces(folder: Path | str, faces: Mapping[str, np.ndarray]) -> list[Path]:
    """Write the stretches without a face: ``{video: {"frames": N, "without": [[start, stop], ...]}}``.

    Without any video, a file of an earlier test goes.

    Args:
        folder: of the prediction files.
        faces: (frames,) bool by video, True where a face was found.

    Returns:
        The file, if there is one.
    """
    content = {}
    for video, found in faces.items():
        without = stretches(~np.asarray(found, dtype=bool))
        content[video] = {'frames': len(found), 'without': without.tolist()}
    return write_or_remove(Path(folder) / NAME, json.dumps(content) + '\n' if content else None)


def read_faces(folder: Path | str, frames: Mapping[str, int]) -> dict[str, np.ndarray] | None:
    """Where a face was found, (frames,) bool by video; None where there is no such file.

    Args:
        folder: of the prediction files.
        frames: of each video that is known; others are left out.

    Raises:
        DataError: the file is damaged, or tells of other numbers of frames.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        return None
    faces = {}
    content = _read(path)
    try:
        for video, entry in content.items():
            length = frames.get(video)
            if length is None:
                continue
            if entry['frames'] != length:
                raise ValueError(f'{entry["frames"]} and not {length} frames of video {video}')
            faces[video] = np.ones(length, dtype=bool)
            for start, stop in entry['without']:
                if not 0 <= start < stop <= length:
                    raise ValueError(
                        f'video {video} of {counted(length, "frame")}: no face from {start} to {stop}'
                    )
                faces[video][start:stop] = False
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f'{path} is damaged or of another test ({error}); {AGAIN}') from error
    return faces


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except DataError as error:
        raise DataError(f'{error}; {AGAIN}') from None
