"""Joining the processes of one run, on GPUs or on CPUs."""

from __future__ import annotations

import os

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size, init_dist, is_distributed

from abawfw.errors import ConfigError, counted

# What each launcher must have put into the environment.
_REQUIRED = {'pytorch': 'LOCAL_RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}


def init_distributed(launcher: str) -> None:
    """Join the other processes of this run; nothing to do for launcher 'none'.

    MMEngine's own start (0.10.7) needs CUDA whatever the backend, so on CPUs the group is made
    here, with gloo, from what torchrun, srun or mpirun put into the environment.

    Raises:
        ConfigError: the launcher did not start this process, or started more here than there are GPUs.
    """
    if launcher == 'none' or is_distributed():
        return
    variable = _REQUIRED[launcher]
    if variable not in os.environ:
        how = {
            'pytorch': 'torchrun (tools/dist_train.sh)',
            'slurm': 'srun (tools/slurm_train.sh)',
            'mpi': 'mpirun',
        }[launcher]
        raise ConfigError(f'--launcher {launcher}, but {variable} is not set: start the run with {how}')
    on_gpus = get_device() == 'cuda'
    if not (on_gpus and launcher == 'slurm'):  # where MMEngine asks Slurm
        os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
        os.environ.setdefault('MASTER_PORT', '29500')
    if on_gpus:
        _check_gpus(launcher)
        init_dist(launcher, backend='nccl')
        return
    if launcher == 'slurm':
        os.environ |= {'RANK': os.environ['SLURM_PROCID'], 'WORLD_SIZE': os.environ['SLURM_NTASKS']}
    if launcher == 'mpi':
        os.environ |= {
            'RANK': os.environ['OMPI_COMM_WORLD_RANK'],
            'WORLD_SIZE': os.environ['OMPI_COMM_WORLD_SIZE'],
        }
    torch.distributed.init_process_group('gloo')


def _check_gpus(launcher: str) -> None:
    """Refuse two processes on one GPU, which NCCL would fail at without saying so."""
    # Slurm may show each task its own GPU alone
    variable = {'pytorch': 'LOCAL_WORLD_SIZE', 'mpi': 'OMPI_COMM_WORLD_LOCAL_SIZE'}.get(launcher, '')
    processes, gpus = os.environ.get(variable, ''), torch.cuda.device_count()
    if processes.isdecimal() and int(processes) > gpus:
        raise ConfigError(
            f'{processes} processes on this machine and {counted(gpus, "GPU")} visible: start one per GPU, '
            'or add --device cpu'
        )


def average_buffers(model: torch.nn.Module) -> None:
    """Give every rank the same buffers: what differs, such as running statistics, becomes the mean.

    Whole numbers, such as counts of batches, become the largest. Equal buffers are not touched. To be called
    by all ranks.
    """
    if get_world_size() == 1:
        return
    for buffer in model.buffers():
        low, high = buffer.clone(), buffer.clone()
        all_reduce(low, 'min')
        all_reduce(high, 'max')
        if torch.equal(low, high):
            continue
        if buffer.is_floating_point():
            all_reduce(buffer, 'mean')
        else:
            buffer.copy_(high)
