"""What all launchers have in common."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from abawfw.errors import ConfigError, Interrupted, counted
from abawfw.results.run import OUTPUT, Run

ATTEMPTS = 2
Report = Callable[[str], None]


class Failure(NamedTuple):
    """A run that is not done after its second attempt: why, and the last lines of its log."""

    job: Job
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
            raise ConfigError(f'jobs={jobs}: the number of runs at a time must be 1 or more')
        self.jobs = jobs

    def launch(self, jobs: Iterable[Job], report: Report, total: int | None = None) -> list[Failure]:
        """Start all runs and wait for them; the next is asked for when there is room for it.

        A run is done when its commands have left with 0 and its files say so (``Job.done``). Any other end
        is a failure; the run is started once more, after those that still wait.

        Args:
            jobs: what to start.
            report: called with a line at every start and end.
            total: how many there are, where ``jobs`` does not say so.

        Returns:
            The runs that failed twice.

        Raises:
            Interrupted: Ctrl-C; running ones were stopped, which lets training save its state.
            ConfigError: what the launcher needs is not installed or not there.
        """
        total = len(jobs) if isinstance(jobs, Sequence) else total
        if total == 0:
            return []
        self.prepare()
        queue = _Queue(jobs, report, total)
        try:
            while True:
                for slot in itertools.count() if self.jobs is None else range(self.jobs):
                    if slot in queue.running:
                        continue
                    if (job := queue.begin()) is None:
                        break
                    queue.running[slot] = job, self.start(job, slot)
                if not queue.running:
                    return queue.failures
                time.sleep(self.interval)
                for slot, (job, handle) in list(queue.running.items()):
                    if (reason := self.outcome(handle)) is not None:
                        del queue.running[slot]
                        queue.end(job, reason)
        except KeyboardInterrupt as error:
            names = ', '.join(job.name for job, _ in queue.running.values()) or 'none'
            report(f'interrupted; waiting for the running ones to save: {names}')
            done = counted(queue.done, 'run') if total is None else f'{queue.done} of {counted(total, "run")}'
            raise Interrupted(
                f'interrupted: {done} done, stopped: {names}. The same command goes on where they are'
            ) from error
        finally:
            self.stop([handle for _, handle in queue.running.values()])

    @abstractmethod
    def prepare(self) -> None:
        """Make sure that runs can be started, before the first one is.

        Raises:
            ConfigError: they cannot.
        """

    @abstractmethod
    def start(self, job: Job, slot: int) -> Any:
        """Start a run in one of the places 0 to jobs - 1; returns what ``outcome`` and ``stop`` take."""

    @abstractmethod
    def outcome(self, handle: Any) -> str | None:
        """None while it runs, '' when it has ended well, or how it has failed."""

    @abstractmethod
    def stop(self, handles: list[Any]) -> None:
        """Stop what still runs and give back what ``prepare`` has taken; called at the end in any case."""


class _Queue:
    """Which runs are to come, run, are done and have failed."""

    def __init__(self, jobs: Iterable[Job], report: Report, total: int | None) -> None:
        self._coming, self._again = iter(jobs), deque[Job]()
        self.running: dict[int, tuple[Job, Any]] = {}
        self.failures: list[Failure] = []
        self.done, self._report = 0, report
        self.of = '' if total is None else f' of {total}'
        self._attempts: Counter[str] = Counter()

    def begin(self) -> Job | None:
        """The next run; None if there is none now, but those that run may fail."""
        job = next(self._coming, None)
        if job is None:
            if not self._again:
                return None
            job = self._again.popleft()
        self._attempts[job.name] += 1
        again = ' again' if self._attempts[job.name] > 1 else ''
        if job.note and not again:
            self._report(f'{job.name}: {job.note}')
        self._report(f'{job.name}: started{again}, log in {job.work_dir / job.log.name}')
        return job

    def end(self, job: Job, reason: str) -> None:
        if not reason and not job.done():
            reason = 'ended well, but its files do not say that it is done'
        if not reason:
            self.done += 1
            self._report(f'{job.name}: done ({self.done}{self.of})')
        elif self._attempts[job.name] < ATTEMPTS:
            self._report(f'{job.name}: {reason}; it is started once more')
            self._again.append(job)
        else:
            self._report(f'{job.name}: {reason}; given up')
            self.failures.append(Failure(job, reason, job.tail()))


def code_text(code: int) -> str:
    """The exit code of a command as ``Launcher.outcome`` reports it."""
    return '' if code == 0 else f'killed by signal {-code}' if code < 0 else f'failed with exit code {code}'


TAIL = 20  # lines of a log that are shown of a run that failed


@dataclass(frozen=True)
class Job:
    """The command lines that make a run, one after the other.

    Attributes:
        name: of the run, in messages.
        commands: the command lines; each is started when the one before has left with 0.
        work_dir: of the run; its summary and ``outputs`` decide whether it is done.
        environment: variables set for the commands, over those of the launching process.
        outputs: files below the work_dir that must be there besides a summary that says done.
        folder: where the commands run; relative paths in them and in configs start there.
        note: what the user should know before it is started.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    work_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path.cwd)
    note: str = ''

    @property
    def log(self) -> Path:
        """File that all attempts at the run write what they print to."""
        return self.folder / self.work_dir / OUTPUT

    def done(self) -> bool:
        """Whether the summary says done and every output is there."""
        place = self.folder / self.work_dir
        return Run(place).status == 'done' and all((place / name).is_file() for name in self.outputs)

    def tail(self) -> str:
        """The last lines of the log."""
        try:
            lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        except OSError as error:
            return f'(no log: {error})'
        return '\n'.join(lines[-TAIL:])
