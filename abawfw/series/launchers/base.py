"""What all launchers have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from abawfw.errors import ConfigError, DataError, Interrupted, counted
from abawfw.json_files import read_json

ATTEMPTS = 2
Report = Callable[[str], None]


class Failure(NamedTuple):
    """A run that is not done after its second attempt: why, and the last lines of its log."""

    run: Run
    reason: str
    tail: str


class Launcher(ABC):
    """Starts runs, at most ``jobs`` at a time, and each that fails once more.

    Args:
        jobs: how many runs at a time; None for all at once.
    """

    interval = 0.1  # seconds between two looks at what is running

    def __init__(self, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise ConfigError(f'{type(self).__name__}(jobs={jobs}): it must be 1 or more')
        self.jobs = jobs

    def launch(self, runs: Sequence[Run], report: Report) -> list[Failure]:
        """Start all runs and wait for them.

        A run is done when its commands have left with 0 and its files say so (``Run.done``). Any other end
        is a failure; the run is started once more, after those that still wait.

        Args:
            runs: what to start.
            report: told in a line of every start and end.

        Returns:
            The runs that failed twice.

        Raises:
            Interrupted: Ctrl-C; running ones were stopped, which lets training save its state.
            ConfigError: what the launcher needs is not installed or not there.
        """
        if not runs:
            return []
        self.prepare()
        queue = _Queue(runs, report)
        try:
            while queue.waiting or queue.running:
                for slot in self._free_slots(queue):
                    run = queue.begin()
                    queue.running[slot] = run, self.start(run, slot)
                time.sleep(self.interval)
                for slot, (run, job) in list(queue.running.items()):
                    if (reason := self.outcome(job)) is not None:
                        del queue.running[slot]
                        queue.end(run, reason)
        except KeyboardInterrupt as error:
            names = ', '.join(run.name for run, _ in queue.running.values()) or 'none'
            report(f'interrupted; waiting for the running ones to save: {names}')
            raise Interrupted(
                f'interrupted: {queue.done} of {counted(len(runs), "run")} done, stopped: {names}. '
                'The same command goes on where they are'
            ) from error
        finally:
            self.stop([job for _, job in queue.running.values()])
        return queue.failures

    def _free_slots(self, queue: _Queue) -> list[int]:
        count = len(queue.running) + len(queue.waiting) if self.jobs is None else self.jobs
        return [slot for slot in range(count) if slot not in queue.running][: len(queue.waiting)]

    @abstractmethod
    def prepare(self) -> None:
        """Make sure that runs can be started, before the first one is.

        Raises:
            ConfigError: they cannot.
        """

    @abstractmethod
    def start(self, run: Run, slot: int) -> Any:
        """Start a run in one of the places 0 to jobs - 1; returns what ``outcome`` and ``stop`` take."""

    @abstractmethod
    def outcome(self, job: Any) -> str | None:
        """None while it runs, '' when it has ended well, or how it has failed."""

    @abstractmethod
    def stop(self, jobs: list[Any]) -> None:
        """Stop what still runs and give back what ``prepare`` has taken; called at the end in any case."""


class _Queue:
    """Which runs wait, run, are done and have failed."""

    def __init__(self, runs: Sequence[Run], report: Report) -> None:
        self.waiting = deque(runs)
        self.running: dict[int, tuple[Run, Any]] = {}
        self.failures: list[Failure] = []
        self.done, self._all, self._report = 0, len(runs), report
        self._attempts: Counter[str] = Counter()

    def begin(self) -> Run:
        run = self.waiting.popleft()
        self._attempts[run.name] += 1
        again = ' again' if self._attempts[run.name] > 1 else ''
        self._report(f'{run.name}: started{again}, log in {run.work_dir / run.log.name}')
        return run

    def end(self, run: Run, reason: str) -> None:
        if not reason and not run.done():
            reason = 'ended well, but its files do not say that it is done'
        if not reason:
            self.done += 1
            self._report(f'{run.name}: done ({self.done} of {self._all})')
        elif self._attempts[run.name] < ATTEMPTS:
            self._report(f'{run.name}: {reason}; it is started once more')
            self.waiting.append(run)
        else:
            self._report(f'{run.name}: {reason}; given up')
            self.failures.append(Failure(run, reason, run.tail()))


def code_text(code: int) -> str:
    """The exit code of a command as ``Launcher.outcome`` tells it."""
    return '' if code == 0 else f'killed by signal {-code}' if code < 0 else f'failed with exit code {code}'


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
