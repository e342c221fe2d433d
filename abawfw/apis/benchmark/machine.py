"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch

from abawfw.engine.origin import cpu_info

# What makes bf16 fast on a CPU: matrix units, and before them a vector instruction.
BF16_FLAGS = ('amx_tile', 'amx_bf16', 'avx512_bf16')


def describe_machine() -> dict[str, Any]:
    """CPU, cores, torch's threads, what the CPU has for bf16, versions, load, and the GPU if there is one."""
    info = cpu_info()
    flags = set(info.get('flags', '').split())
    return {
        'cpu': info.get('model name', platform.processor() or platform.machine()),
        'cores': len(os.sched_getaffinity(0)),
        'threads': torch.get_num_threads(),
        'bf16_flags': [flag for flag in BF16_FLAGS if flag in flags],
        'load_average': round(os.getloadavg()[0], 2),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
