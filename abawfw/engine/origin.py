"""Which code trained a run, and on what kind of machine: nothing here names the machine or its user."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import abawfw

CHECKOUT = Path(abawfw.__file__).resolve().parents[1]
GIT_SECONDS = 10  # longer than git takes on a slow network drive; training does not wait for more


def code_version() -> dict[str, Any] | None:
    """The commit that this code was checked out from, and whether anything in abawfw/ differs from it.

    Returns:
        ``commit``, 40 hex digits, and ``dirty``; None where the code is no checkout of its own, such as an
        installed package, or where git is missing.
    """
    top = _git('rev-parse', '--show-toplevel')
    commit = _git('rev-parse', 'HEAD')
    changes = _git('status', '--porcelain', '--', 'abawfw')
    # an installed package inside of another project's checkout is not of that project's commit
    if top is None or not commit or changes is None or Path(top).resolve() != CHECKOUT:
        return None
    return {'commit': commit, 'dirty': bool(changes)}


def _git(*words: str) -> str | None:
    """What git prints for the checkout; None if it cannot."""
    try:
        done = subprocess.run(
            ['git', '-C', str(CHECKOUT), *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=GIT_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, 'GIT_OPTIONAL_LOCKS': '0'},  # looks only
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Operating system, CPU, cores, memory in bytes, names of GPUs, and versions of torch and CUDA."""
    cuda = torch.cuda.is_available()
    return {
        'os': _operating_system(),
        'cpu': cpu_info().get('model name', platform.processor() or platform.machine()),
        'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        'memory': _memory(),
        'gpus': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        'torch': torch.__version__,
        'cuda': torch.version.cuda,
    }


def cpu_info() -> dict[str, str]:
    """The first processor's entry of Linux's list; {} elsewhere."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').split('\n\n')[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(':') for line in lines)}


def _operating_system() -> str:
    kernel = f'{platform.system()} {platform.release()}'
    try:
        return f'{platform.freedesktop_os_release()["PRETTY_NAME"]}, {kernel}'
    except (OSError, KeyError):
        return kernel


def _memory() -> int | None:
    try:
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (AttributeError, OSError, ValueError):
        return None
