"""Which videos of val belong to one person or session, as a file beside the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abawfw.evaluation.side_files import write_or_remove
from abawfw.groups import Groups

NAME = 'val_groups.csv'


def write_val_groups(folder: Path | str, groups: Groups) -> list[Path]:
    """Write ``video,group`` of the videos whose group is known; without any, a file of an earlier test goes.

    Args:
        folder: of the prediction files.
        groups: of the videos of val.

    Returns:
        The file, if there is one.
    """
    return write_or_remove(Path(folder) / NAME, groups.to_csv() if groups.of else None)


def read_val_groups(folder: Path | str, videos: Sequence[str]) -> Groups:
    """The groups of the videos of val; none where there is no such file, as in runs of version 0.1.

    Such a file may as well be written by hand.

    Args:
        folder: of the prediction files.
        videos: that have predictions.

    Raises:
        DataError: the file is damaged, or names a video that has no predictions.
    """
    path = Path(folder) / NAME
    return Groups.read(path, videos, ()) if path.exists() else Groups()
