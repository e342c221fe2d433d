"""Runs as jobs of a Slurm cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abawfw.errors import ConfigError, TrainingError
from abawfw.registry import LAUNCHERS
from abawfw.series.launchers.base import Job, Launcher, code_text
from abawfw.series.launchers.command_chain import execute

TIME = 24 * 60  # minutes; submitit's own default of 5 is too short to train


@LAUNCHERS.register_module()
class SlurmLauncher(Launcher):
    """One Slurm job per run, through submitit; work_dirs must lie on a disk that all nodes share.

    The launching process waits for the jobs. Where a job reaches its time, the second attempt goes on from
    the newest training state.

    Args:
        jobs: how many jobs are submitted at a time; None for all at once.
        parameters: of sbatch, as submitit names them: partition, time (minutes; a day if not given),
            gpus_per_node, cpus_per_task, mem, account, qos, ...
    """

    interval = 5.0

    def __init__(self, jobs: int | None = None, **parameters: Any) -> None:
        super().__init__(jobs)
        self.parameters = {'time': TIME, **parameters}

    def prepare(self) -> None:
        """See the base class."""
        self._executor(Path.cwd())

    def start(self, job: Job, slot: int) -> Any:
        """Submit the job of a run; submitit's own files lie in ``slurm/`` of its work_dir."""
        executor = self._executor(job.log.parent / 'slurm')
        executor.update_parameters(job_name=job.name)
        try:
            return executor.submit(execute, job)
        except (RuntimeError, OSError) as error:
            raise TrainingError(f'{job.name}: sbatch does not take the job: {error}') from error

    def outcome(self, handle: Any) -> str | None:
        """See the base class."""
        if not handle.done():
            return None
        try:
            return code_text(handle.result())
        except Exception as error:  # submitit passes on whatever ended the job
            return f'Slurm job {handle.job_id} {handle.state}: {str(error).strip().splitlines()[-1]}'

    def stop(self, handles: list[Any]) -> None:
        """Cancel the jobs; Slurm sends SIGTERM, at which training saves its state."""
        for handle in handles:
            handle.cancel()

    def _executor(self, folder: Path) -> Any:
        try:
            from submitit import SlurmExecutor
        except ImportError as error:
            raise ConfigError(
                "runs on Slurm need the extra 'slurm': pip install -c constraints.txt -e '.[slurm]'"
            ) from error
        try:
            executor = SlurmExecutor(folder)
        except RuntimeError as error:
            raise ConfigError(
                'there is no Slurm here: srun is not on the path; use --engine local'
            ) from error
        try:
            executor.update_parameters(**self.parameters)
        except (ValueError, NameError) as error:  # the text lists all that there are
            raise ConfigError(f'options of Slurm: {error}') from error
        return executor
