"""Runs command lines of tools/ in forked children, so that many of them pay for the imports once.

Reads one job per line (JSON) from standard input and answers with one line each. A job: ``words``, a command
line without ``python``; ``folder`` to run it in; ``variables`` of its environment; ``timeout`` in seconds.
The answer: ``code`` and ``output``. Runs of a series and workers that read videos are forked as well.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import torch

from abawfw.extraction.pipeline import worker_processes
from abawfw.series.launchers import command_chain

IMPORTED = (
    *('abawfw.apis.train', 'abawfw.apis.test', 'abawfw.apis.inferencer', 'abawfw.apis.extract_features'),
    *('abawfw.apis.check_build', 'abawfw.apis.infer', 'abawfw.apis.report', 'abawfw.apis.report'),
    *('abawfw.models', 'abawfw.models.fusions', 'abawfw.models.contexts', 'abawfw.models.heads'),
    *('abawfw.models.losses', 'abawfw.datasets.clips', 'abawfw.datasets.transforms', 'abawfw.engine.optim'),
    *('abawfw.datasets.samplers', 'abawfw.engine.loops', 'pydantic', 'abawfw.datasets.demo.trials'),
    *('abawfw.submission.ensemble', 'torch._dynamo', 'pandas', 'matplotlib.backends.backend_agg'),
    *('matplotlib.figure', 'abawfw.datasets.importers.affwild2'),
)
# What only some tools need, imported before the first of them runs.
IMPORTED_FOR = {
    'export.py': ('abawfw.apis.export', 'onnxruntime', 'onnxscript', 'torch.onnx._internal.exporter._core'),
    'extract_features.py': ('opensmile', 'onnxruntime'),
    'infer.py': ('opensmile', 'onnxruntime'),
}


class ForkedCommand:
    """Stands for the process that ``subprocess.Popen`` would start for a command line of tools/."""

    def __init__(
        self, words: tuple[str, ...], *, cwd: Path, env: dict[str, str], stdout: IO[bytes], **_: Any
    ) -> None:
        assert words[0] == sys.executable, words
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            work({'words': list(words[1:]), 'folder': cwd, 'variables': env, 'timeout': 120}, stdout.fileno())

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        deadline = time.monotonic() + (timeout or 0)
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired('a forked command', timeout)
            time.sleep(0.05)
        return code

    def terminate(self) -> None:
        """Ask it to stop."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)


def fork_what_is_started() -> None:
    """Let the product's own processes be forks too: this one runs one thread only."""
    command_chain.subprocess = SimpleNamespace(**vars(subprocess) | {'Popen': ForkedCommand})  # type: ignore
    worker_processes.get_context = lambda _: multiprocessing.get_context('fork')  # type: ignore


def work(job: dict[str, Any], output: int) -> None:
    """What a child does; ``output`` is the open file that it prints to."""
    os.setpgid(0, 0)
    signal.alarm(job['timeout'])
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(job['folder'])
    os.environ |= job['variables']
    sys.argv = job['words']
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    sys.path[1:1] = filter(None, job['variables'].get('PYTHONPATH', '').split(os.pathsep))
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the server's clean-up is not the child's


def serve() -> None:
    """Answer jobs until standard input ends."""
    torch.set_num_threads(1)
    fork_what_is_started()
    for name in IMPORTED:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        job = json.loads(line)
        for name in IMPORTED_FOR.get(Path(job['words'][0]).name, ()):
            importlib.import_module(name)
        with tempfile.NamedTemporaryFile('a+') as output:
            child = os.fork()
            if not child:
                work(job, output.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            text = Path(output.name).read_text(errors='replace')
        answers.write(json.dumps({'code': code, 'output': text}) + '\n')
        answers.flush()


if __name__ == '__main__':
    serve()
