"""What all launchers have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from abawfw.engine.launchers.run import Run
from abawfw.errors import ConfigError, Interrupted

ATTEMPTS = 2


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

    def launch(self, runs: Sequence[Run], report: Callable[[str], None] = lambda line: None) -> list[Failure]:
        """Start all runs and wait for them.

        A run is done when its commands have left with 0 and its summary says so (``Run.done``). Any other end
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
        self.prepare()
        waiting, running = deque(runs), dict[int, tuple[Run, Any]]()
        attempts: Counter[str] = Counter()
        failures, done = list[Failure](), 0
        try:
            while waiting or running:
                for slot in self._free(running, len(waiting)):
                    run = waiting.popleft()
                    attempts[run.name] += 1
                    again = ' again' if attempts[run.name] > 1 else ''
                    report(f'{run.name}: started{again}, log in {run.work_dir / run.log.name}')
                    running[slot] = run, self.start(run, slot)
                time.sleep(self.interval)
                for slot, (run, job) in list(running.items()):
                    reason = self.outcome(job)
                    if reason is None:
                        continue
                    del running[slot]
                    reason = reason or (
                        '' if run.done() else 'left with 0, but its summary does not say done'
                    )
                    if not reason:
                        done += 1
                        report(f'{run.name}: done ({done} of {len(runs)})')
                    elif attempts[run.name] < ATTEMPTS:
                        report(f'{run.name}: {reason}; it is started once more')
                        waiting.append(run)
                    else:
                        report(f'{run.name}: {reason}; given up')
                        failures.append(Failure(run, reason, run.tail()))
        except KeyboardInterrupt as error:
            names = ', '.join(run.name for run, _ in running.values()) or 'none'
            report(f'interrupted, waiting for the running ones to save: {names}')
            raise Interrupted(
                f'interrupted: {done} of {len(runs)} runs done, stopped: {names}. '
                'The same command goes on where they are'
            ) from error
        finally:
            self.stop([job for _, job in running.values()])
        return failures

    def _free(self, running: dict[int, Any], wanted: int) -> list[int]:
        slots = range(len(running) + wanted if self.jobs is None else self.jobs)
        return [slot for slot in slots if slot not in running][:wanted]

    def prepare(self) -> None:
        """Make sure that runs can be started, before the first one is.

        Raises:
            ConfigError: they cannot.
        """
        return

    @abstractmethod
    def start(self, run: Run, slot: int) -> Any:
        """Start a run in one of the places 0 to jobs - 1; returns what ``outcome`` and ``stop`` take."""

    @abstractmethod
    def outcome(self, job: Any) -> str | None:
        """None while it runs, '' when it has ended well, or how it has failed."""

    @abstractmethod
    def stop(self, jobs: list[Any]) -> None:
        """Stop what still runs and give back what ``prepare`` has taken; called at the end in any case."""


def code_text(code: int) -> str:
    """The exit code of a command as ``Launcher.outcome`` tells it."""
    return '' if code == 0 else f'killed by signal {-code}' if code < 0 else f'failed with exit code {code}'
