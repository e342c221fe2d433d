"""Runs as tasks of Ray."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from abawfw.components import Count, NonNegative
from abawfw.errors import ConfigError
from abawfw.registry import LAUNCHERS
from abawfw.series.launchers.base import Job, Launcher, code_text
from abawfw.series.launchers.command_chain import GRACE, execute


@LAUNCHERS.register_module()
class RayLauncher(Launcher):
    """One Ray task per run, on the cluster that Ray finds (``RAY_ADDRESS``), or else on this machine.

    On a cluster, abawfw must be installed on every node and work_dirs lie on a disk that all share.

    Args:
        jobs: runs at a time; None for as many as the cluster has room for.
        cpus: cores and threads of a run; None for the cluster's cores // jobs, and 1 where jobs is None.
        gpus: GPUs of a run, also a part of one; None for 1 where the cluster has any.
    """

    interval = 0.2

    def __init__(
        self, jobs: int | None = None, cpus: Count | None = None, gpus: NonNegative | None = None
    ) -> None:
        super().__init__(jobs)
        self.cpus, self.gpus = cpus, gpus
        self._ray: Any = None

    def prepare(self) -> None:
        """Connect to the cluster, or start Ray on this machine."""
        # Ray reports its use to its makers unless it is switched off; nobody here has agreed to that
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "runs on Ray need the extra 'ray': pip install -c constraints.txt -e '.[ray]'"
            ) from error
        ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
        self._ray = ray
        total = ray.cluster_resources()
        cores = int(total.get('CPU', 1))
        cpus = self.cpus or max(1, cores // (self.jobs or cores))
        gpus = self.gpus if self.gpus is not None else min(1.0, total.get('GPU', 0.0))
        for name, wanted, there in (('cpus', cpus, total.get('CPU', 0)), ('gpus', gpus, total.get('GPU', 0))):
            if wanted > there:
                self.stop([])
                raise ConfigError(f'{name}={wanted:g} for a run, but Ray has {there:g} in all: give fewer')
        self._threads = {'OMP_NUM_THREADS': str(cpus)}
        self._task = ray.remote(execute).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)

    def start(self, job: Job, slot: int) -> Any:
        """Hand a run to Ray."""
        environment = {**self._threads, **job.environment}
        return self._task.remote(dataclasses.replace(job, environment=environment))

    def outcome(self, handle: Any) -> str | None:
        """See the base class."""
        if not self._ray.wait([handle], timeout=0)[0]:
            return None
        try:
            return code_text(self._ray.get(handle))
        except self._ray.exceptions.RayError as error:
            return f'Ray: {str(error).strip().splitlines()[-1]}'

    def stop(self, handles: list[Any]) -> None:
        """Cancel the tasks, which lets training save its state, and leave Ray."""
        for handle in handles:
            self._ray.cancel(handle)
        if handles:
            self._ray.wait(handles, num_returns=len(handles), timeout=GRACE)
        self._ray.shutdown()
