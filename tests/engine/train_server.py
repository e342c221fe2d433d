"""Trains in forked children, so that many short runs pay for the imports once.

Reads one job per line (JSON) from standard input and answers with one line each. A job: ``config``,
``overrides``, ``work_dir``, and optionally ``resume`` (True or a path), ``processes``, ``kill_after`` (CPU
seconds of the first process until SIGKILL: the same moment whatever else the machine does), ``signals``
(numbers, which come one after the other to the first process within its first batch) and ``prepare``, names
of functions below to call in the child, and ``path``, folders of modules to import. The answer: ``codes`` of
the processes, ``output``, ``cpu_seconds`` of the first process.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

import abawfw.engine.va_runner
from abawfw import checkpoints
from abawfw.apis import cli
from abawfw.apis.train import train
from abawfw.config.check import config_problems
from abawfw.config.loading import load_config
from abawfw.engine.hooks import NonFiniteLossHook
from abawfw.engine.training_state import bare_model
from abawfw.models.estimator import VAEstimator
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class NoiseForTests:
    """A random transform, as an augmentation would be."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        for name, values in results['inputs'].items():
            noise = results['rng']().normal(size=values.shape)
            results['inputs'][name] = values + noise.astype(np.float32)
        return results


def limit_files() -> None:
    """From the third training state on the disk is full."""
    save = checkpoints.save_checkpoint
    calls = []

    def limited(content: dict[str, Any], path: Path) -> None:
        calls.extend([path] if path.name.startswith('epoch_') else [])
        if len(calls) == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        save(content, path)

    abawfw.engine.va_runner.save_checkpoint = limited


def die_while_writing() -> None:
    """Be killed when the second training state lies half-written under its temporary name."""
    real, states = os.fsync, []

    def fsync(number: int) -> None:
        path = Path(os.readlink(f'/proc/self/fd/{number}'))
        states.extend([path] if path.name.startswith('.epoch_') else [])
        if len(states) == 2:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        real(number)

    os.fsync = fsync


def lose_the_loss() -> None:
    """The fourth update's loss is NaN."""
    loss, calls = VAEstimator.forward, []

    def forward(self: VAEstimator, *args: Any, **kwargs: Any) -> Any:
        found = loss(self, *args, **kwargs)
        if self.training:
            calls.append(1)
            if len(calls) == 4:
                found = {k: v * float('nan') for k, v in found.items()}
        return found

    VAEstimator.forward = forward


def signal_in_first_batch(numbers: list[int]) -> None:
    """Be sent signals before the first batch has ended."""
    real, left = NonFiniteLossHook.after_train_iter, list(numbers)

    def after_train_iter(*args: Any, **kwargs: Any) -> None:
        while left:
            os.kill(os.getpid(), left.pop(0))
        real(*args, **kwargs)

    NonFiniteLossHook.after_train_iter = after_train_iter


def keep_weights_of_each_rank() -> None:
    """Write what each rank ends with to rank0.pt, rank1.pt."""
    real = abawfw.engine.va_runner.VARunner.train

    def train_and_keep(self: Any) -> Any:
        model = real(self)
        torch.save(bare_model(self).state_dict(), Path(self.work_dir) / f'rank{self.rank}.pt')
        return model

    abawfw.engine.va_runner.VARunner.train = train_and_keep


def work(job: dict[str, Any], rank: int, port: int, output: str) -> None:
    """What a child does."""
    os.setpgid(0, 0)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.path[:0] = job.get('path', [])
    processes = job.get('processes', 1)
    if processes > 1:
        place = {'RANK': rank, 'LOCAL_RANK': rank, 'WORLD_SIZE': processes, 'MASTER_PORT': port}
        os.environ |= {k: str(v) for k, v in place.items()} | {'MASTER_ADDR': '127.0.0.1'}
    for name in job.get('prepare', ()):
        globals()[name]()
    if rank == 0:
        signal_in_first_batch(job.get('signals', []))
    resume = Path(job['resume']) if isinstance(job.get('resume'), str) else job.get('resume', False)

    def main() -> None:
        cfg = load_config(job['config'], job['overrides'])
        train(cfg, Path(job['work_dir']), resume, 'pytorch' if processes > 1 else 'none')

    code = 1
    try:
        cli.run(main)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(code)  # the server's clean-up is not the child's


def cpu_seconds(process: int) -> float:
    """CPU time of a running process so far."""
    fields = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in forked children, kill it where it says so, and wait for it."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with tempfile.NamedTemporaryFile('w+') as output:
        started = time.monotonic()
        children = []
        for rank in range(job.get('processes', 1)):
            child = os.fork()
            if not child:
                work(job, rank, port, output.name)
            children.append(child)
        kill_after = job.get('kill_after')
        codes: dict[int, int] = {}
        spent: dict[int, float] = {}
        first, ends = children[0], {child: os.pidfd_open(child) for child in children}
        while len(codes) < len(children):
            # a process that is to be killed is looked at as often as the kernel counts its time
            select.select(ends.values(), [], [], 1 if kill_after is None else 0.01)
            late = time.monotonic() - started > 120
            due = kill_after is not None and first not in codes and cpu_seconds(first) >= kill_after
            if due or late:
                kill_after = None
                for child in set(children) - set(codes):
                    os.killpg(child, signal.SIGKILL)
            for child in set(children) - set(codes):
                found, status, usage = os.wait4(child, os.WNOHANG)
                if found:
                    os.close(ends.pop(child))
                    codes[child] = os.waitstatus_to_exitcode(status)
                    spent[child] = usage.ru_utime + usage.ru_stime
        text = Path(output.name).read_text()
    return {'codes': [codes[c] for c in children], 'output': text, 'cpu_seconds': spent[children[0]]}


def serve() -> None:
    """Answer jobs until standard input ends."""
    # imports what a run does that forked_python has not
    config_problems(load_config(sys.argv[1]))
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + '\n')
        sys.stdout.flush()


if __name__ == '__main__':
    serve()
