"""How many runs are started: in processes here, through Slurm, or through Ray."""

from abawfw.series.launchers.base import Failure, Job, Launcher
from abawfw.series.launchers.local_launcher import LocalLauncher
from abawfw.series.launchers.ray_launcher import RayLauncher
from abawfw.series.launchers.slurm_launcher import SlurmLauncher

__all__ = ['Failure', 'Job', 'Launcher', 'LocalLauncher', 'RayLauncher', 'SlurmLauncher']
