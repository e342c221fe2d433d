"""What computes in this process: the CPU or which of the GPUs, how it multiplies, threads, and its memory."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from abawfw.errors import ConfigError, counted

AUTO = 'auto'
"""The name of a device that means: a GPU if one is visible, else the CPU."""


def find_device(name: str = AUTO) -> str:
    """What the name of a device means on this machine.

    Args:
        name: 'cpu', 'cuda', 'cuda:N' for the N-th visible GPU, counted from 0, or 'auto'. Within
            :func:`computing_on`, 'auto' is the device of the block.

    Raises:
        ConfigError: the name is unknown, or there is no such GPU; it says what is there.

    >>> find_device('cpu')
    'cpu'
    """
    if name == 'cpu':
        return name
    import torch
    from mmengine.device import get_device

    if name == AUTO:
        return 'cuda' if get_device() == 'cuda' else 'cpu'
    found = re.fullmatch(r'cuda(?::(\d+))?', name)
    if found is None:
        raise ConfigError(f'device {name!r} is unknown: give auto, cpu, cuda, or cuda:N for the N-th GPU')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        hidden = os.environ.get('CUDA_VISIBLE_DEVICES')
        if torch.version.cuda is None:
            why = f'this PyTorch ({torch.__version__}) is built without CUDA'
        elif hidden is not None:
            why = f'CUDA_VISIBLE_DEVICES={hidden!r} hides what there may be'
        else:
            why = 'PyTorch finds none, see nvidia-smi'
        raise ConfigError(f'device {name!r}: no GPU is visible here ({why}): use cpu or auto')
    if found[1] is not None and int(found[1]) >= count:
        known = ', '.join(f'cuda:{i} ({torch.cuda.get_device_name(i)})' for i in range(count))
        raise ConfigError(
            f'device {name!r}: {counted(count, "GPU")} visible here: {known}: choose from these, or use cpu'
        )
    return name


def check_device(name: str) -> None:
    """Refuse a device that is not there, as early as can be: 'auto' always is, and PyTorch is not imported.

    Raises:
        ConfigError: see :func:`find_device`.
    """
    if name != AUTO:
        find_device(name)


@contextlib.contextmanager
def computing_on(name: str = AUTO) -> Iterator[str]:
    """Let a device be the one of this process for the time of the block.

    MMEngine's ``get_device``, which all code here asks, then gives its kind: 'cpu' or 'cuda'; and the GPU of
    the name is CUDA's current one. The block gets the name, see :func:`find_device`.

    Raises:
        ConfigError: see :func:`find_device`.
    """
    import torch
    from mmengine.device import utils

    device = find_device(name)
    kind, _, number = device.partition(':')
    before = utils.DEVICE
    with torch.cuda.device(int(number)) if number else contextlib.nullcontext():
        utils.DEVICE = kind
        try:
            yield device
        finally:
            utils.DEVICE = before


TF32, FLOAT32 = 'tf32', 'float32'
"""How a GPU multiplies float32 values: factors rounded to 10 bits behind the point, or as they are."""


@contextlib.contextmanager
def multiplying_in(precision: str = TF32) -> Iterator[None]:
    """Let GPUs multiply float32 values so for the time of the block: matrices, convolutions and LSTMs alike.

    PyTorch's own default is TF32 for convolutions and LSTMs and float32 for matrices. GPUs older than Ampere
    have no TF32, and a CPU is not asked. Where autocast says bf16 or fp16, these count.

    Args:
        precision: 'tf32' or 'float32'.
    """
    from torch import backends

    # The older ones of PyTorch's switches: where the newer ones are set, reading these fails, and torch reads
    # them itself.
    before = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = precision == TF32
    try:
        yield
    finally:
        backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32 = before


def matmul_precision() -> str | None:
    """How the device of this process multiplies float32 values now; None for a CPU, which has no choice."""
    import torch
    from mmengine.device import get_device

    if get_device() != 'cuda':
        return None
    has_tf32 = torch.cuda.get_device_capability() >= (8, 0)
    return TF32 if has_tf32 and torch.backends.cuda.matmul.allow_tf32 else FLOAT32


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


SMALL = 16_000_000
"""Parameters up to which a model runs in one thread: those that take vectors, and none with full backbones.
What was measured is in docs/devices.md."""
THREADS = 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'
"""Variables of the environment that PyTorch takes its threads from."""
SHARED_OUT = 'ABAWFW_THREADS_SHARED_OUT'
"""Where what starts several runs at a time says that OMP_NUM_THREADS is its own limit and not the user's."""


@contextlib.contextmanager
def computing_with(threads: int | None, configured: int | None, *models: Any) -> Iterator[None]:
    """Let PyTorch compute in so many threads for the time of the block.

    Threads wait for one another actively and several hundred times in a step; on a busy machine each wait is
    as long as another process keeps the core, and a small model has little to win by them. Where a GPU
    computes, the CPU has nothing to do that would be worth a second thread.

    Args:
        threads: what the command says; None for nothing.
        configured: what the config says, at most one per core of this machine, unless OMP_NUM_THREADS or
            MKL_NUM_THREADS says something; None for nothing.
        models: the largest decides if nobody says anything: one thread for a small one and where a GPU
            computes, and otherwise as many as PyTorch takes.
    """
    import torch
    from mmengine.device import get_device

    given = [value for name in THREADS if (value := os.environ.get(name))]
    if threads is None and (not given or given == [os.environ.get(SHARED_OUT)]):
        largest = max((sum(p.numel() for p in model.parameters()) for model in models), default=0)
        cores = os.cpu_count() or 1
        threads = (
            min(configured, cores)
            if configured
            else (1 if largest <= SMALL or get_device() != 'cpu' else None)
        )
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads is not None:
            torch.set_num_threads(before)


MEMINFO, CGROUPS = Path('/proc/meminfo'), Path('/sys/fs/cgroup')
OWN_CGROUPS = Path('/proc/self/cgroup')
CGROUP_FILES = {
    True: ('memory.max', 'memory.current', 'inactive_file'),
    False: ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'),
}
"""Files of a control group, of version 2 and of version 1: limit, use, and the part of it that the system
would give up for others, as MemAvailable counts it."""


def free_memory(device: Any) -> int | None:
    """Bytes that can be had on a device of PyTorch; None where the system does not say.

    Of the host it is what is available without swapping, within the limit of the control group of this
    process and of those around it, as a container or a job of Slurm has one.
    """
    import torch

    if device.type == 'cuda':
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = MEMINFO.read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    return min([*available, *_left_in_cgroups()]) if available else None


def _left_in_cgroups() -> list[int]:
    """What each limit of the control groups around this process leaves."""
    try:
        lines = OWN_CGROUPS.read_text(encoding='utf-8').splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, kinds, path = line.split(':', 2)
        unified = not kinds
        if not unified and 'memory' not in kinds.split(','):
            continue
        root = CGROUPS if unified else CGROUPS / 'memory'
        group = root / path.strip('/')
        for folder in [group, *group.parents]:
            if folder.is_relative_to(root):
                left += _left_in(folder, *CGROUP_FILES[unified])
    return left


def _left_in(folder: Path, limit: str, use: str, inactive: str) -> list[int]:
    """What one control group leaves; nothing where it has no limit, or is none that is seen from here."""
    try:
        most, used = ((folder / name).read_text(encoding='ascii').strip() for name in (limit, use))
        lines = (folder / 'memory.stat').read_text(encoding='ascii').splitlines()
    except OSError:
        return []
    if most == 'max':
        return []
    given_up = sum(int(line.split()[1]) for line in lines if line.split()[0] == inactive)
    return [max(int(most) - int(used) + given_up, 0)]
