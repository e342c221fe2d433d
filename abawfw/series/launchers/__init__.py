"""How many runs are started: in processes here, through Slurm, or through Ray."""

from abawfw.series.launchers.base import Failure, Launcher, Run
from abawfw.series.launchers.local_launcher import LocalLauncher
from abawfw.series.launchers.ray_launcher import RayLauncher
from abawfw.series.launchers.slurm_launcher import SlurmLauncher

__all__ = ['Failure', 'Launcher', 'LocalLauncher', 'RayLauncher', 'Run', 'SlurmLauncher']
