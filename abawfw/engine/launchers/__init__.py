"""How many runs are started: in processes here, through Slurm, or through Ray."""

from abawfw.engine.launchers.base import Failure, Launcher
from abawfw.engine.launchers.local_launcher import LocalLauncher
from abawfw.engine.launchers.ray_launcher import RayLauncher
from abawfw.engine.launchers.run import Run
from abawfw.engine.launchers.slurm_launcher import SlurmLauncher

__all__ = ['Failure', 'Launcher', 'LocalLauncher', 'RayLauncher', 'Run', 'SlurmLauncher']
