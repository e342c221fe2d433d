"""Writing a submission: all of it or nothing."""

from __future__ import annotations

from pathlib import Path

from abawfw.errors import ConfigError
from abawfw.files import Replacement, recover
from abawfw.submission.formats import Submission


def check_output(out: Path | str, overwrite: bool = False) -> list[str]:
    """Refuse a path that exists, so that nobody loses a submission or anything else.

    Returns:
        What had to be put right after a call that was killed, a line each.

    Raises:
        ConfigError: ``out`` exists and ``overwrite`` is not set, or it holds anything but text files.
    """
    out = Path(out)
    notes = recover(out)
    if not out.exists() and not out.is_symlink():
        return notes
    restored = ''.join(f'; {note}' for note in notes)
    if not overwrite:
        raise ConfigError(
            f'{out} exists already; choose another name or replace it with --overwrite{restored}'
        )
    foreign = next((p for p in out.rglob('*') if not p.is_dir() and p.suffix != '.txt'), None)
    if out.is_symlink() or not out.is_dir() or foreign is not None:
        raise ConfigError(f'{out} is not a submission ({foreign or "no folder"}) and is not overwritten')
    return notes


def write_submission(out: Path | str, submission: Submission, overwrite: bool = False) -> None:
    """Write all files into a temporary folder beside ``out``, then rename it. Raises as ``check_output``."""
    out = Path(out)
    check_output(out, overwrite)
    with Replacement(out, folder=overwrite) as temporary:
        for name, text in submission.files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
