"""A run that could not start leaves nothing behind."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.logging import MMLogger


@contextlib.contextmanager
def no_empty_logs(work_dir: Path) -> Iterator[None]:
    """Where the block fails, take away the folders of logs made in it into which nothing was written.

    MMEngine makes ``TIMESTAMP/TIMESTAMP.log`` before it builds anything. A log with content stays.
    """
    before = _folders(work_dir)
    try:
        yield
    except BaseException:
        if get_rank() == 0:
            for folder in _folders(work_dir) - before:
                _remove_if_empty(folder)
        raise


def _folders(work_dir: Path) -> set[Path]:
    return {path for path in work_dir.glob('*') if path.is_dir()}


def _remove_if_empty(folder: Path) -> None:
    files = list(folder.iterdir())
    if any(file.suffix != '.log' or file.is_dir() or file.stat().st_size for file in files):
        return
    logger = MMLogger.get_current_instance()
    ours = {file.resolve() for file in files}
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).resolve() in ours:
            logger.removeHandler(handler)
            handler.close()
    with contextlib.suppress(OSError):  # a folder that is left must not hide why the start failed
        for file in files:
            file.unlink()
        folder.rmdir()
