"""What a launcher starts: the command lines of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from abawfw.errors import DataError
from abawfw.json_files import read_json

TAIL = 20  # lines of a log that are shown of a run that failed


@dataclass(frozen=True)
class Run:
    """Command lines that make a work_dir, one after the other.

    Attributes:
        name: how the run is called in messages.
        commands: the command lines; each is started when the one before has left with 0.
        work_dir: of the run; its summary.json and ``outputs`` decide whether the run is done.
        environment: variables set for the commands, over those of the launching process.
        outputs: files below the work_dir that must be there besides a summary that says done.
        folder: where the commands run; relative paths in them and in configs start there.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    work_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path.cwd)

    @property
    def log(self) -> Path:
        """File that all attempts at the run write what they print to."""
        return self.folder / self.work_dir / 'output.log'

    def done(self) -> bool:
        """Whether the summary says done and every output is there."""
        place = self.folder / self.work_dir
        return status(place) == 'done' and all((place / name).is_file() for name in self.outputs)

    def tail(self) -> str:
        """The last lines of the log."""
        try:
            lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        except OSError as error:
            return f'(no log: {error})'
        return '\n'.join(lines[-TAIL:])


def status(work_dir: Path) -> str | None:
    """Status in the summary.json of a run; None if there is none or it cannot be read."""
    try:
        return read_json(work_dir / 'summary.json')['status']
    except (DataError, KeyError, TypeError):
        return None
