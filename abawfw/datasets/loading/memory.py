"""How much memory is left, in this machine or on its GPU."""

from __future__ import annotations

from pathlib import Path

import torch

MEMINFO, CGROUPS = Path('/proc/meminfo'), Path('/sys/fs/cgroup')
OWN_CGROUPS = Path('/proc/self/cgroup')
NAMES = {
    True: ('memory.max', 'memory.current', 'inactive_file'),
    False: ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'),
}
"""Files of a control group, of version 2 and of version 1: limit, use, and the part of it that the system
would give up for others, as MemAvailable counts it."""


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be had on a device; None where the system does not say.

    Of the host it is what is available without swapping, within the limit of the control group of this
    process and of those around it, as a container or a job of Slurm has one.
    """
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
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
                left += _left_in(folder, *NAMES[unified])
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
