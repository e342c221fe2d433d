"""Writing a submission: all of it or nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from abawfw.errors import ConfigError
from abawfw.submission.formats import Submission


def check_output(out: Path | str, overwrite: bool = False) -> None:
    """Refuse a path that exists, so that nobody loses a submission or anything else.

    Raises:
        ConfigError: ``out`` exists and ``overwrite`` is not set, or it holds anything but text files.
    """
    out = Path(out)
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise ConfigError(f'{out} exists already; choose another name or replace it with --overwrite')
    foreign = next((p for p in out.rglob('*') if not p.is_dir() and p.suffix != '.txt'), None)
    if out.is_symlink() or not out.is_dir() or foreign is not None:
        raise ConfigError(f'{out} is not a submission ({foreign or "no folder"}) and is not overwritten')


def write_submission(out: Path | str, submission: Submission, overwrite: bool = False) -> None:
    """Write all files into a temporary folder beside ``out``, then rename it. Raises as ``check_output``."""
    out = Path(out)
    check_output(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f'.{out.name}.{os.getpid()}.tmp')
    try:
        for name, text in submission.files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
        if out.exists():
            old = out.with_name(f'.{out.name}.{os.getpid()}.old')
            out.rename(old)
            temporary.rename(out)
            shutil.rmtree(old)
        else:
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
