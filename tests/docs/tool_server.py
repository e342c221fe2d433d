"""Runs command lines of tools/ in forked children, so that many of them pay for the imports once.

Reads one job per line (JSON) from standard input and answers with one line each. A job: ``words``, a command
line without ``python``; ``folder`` to run it in; ``variables`` of its environment; ``timeout`` in seconds.
The answer: ``code`` and ``output``.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import torch

IMPORTED = (
    *('abawfw.apis.train', 'abawfw.apis.test', 'abawfw.apis.inferencer', 'abawfw.apis.extract_features'),
    *('abawfw.datasets.demo.trials', 'abawfw.submission.ensemble', 'torch._dynamo', 'pandas'),
    *('matplotlib.backends.backend_agg', 'matplotlib.figure', 'abawfw.datasets.importers.affwild2'),
)


def work(job: dict[str, Any], output: str) -> None:
    """What a child does."""
    os.setpgid(0, 0)
    signal.alarm(job['timeout'])
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
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
    for name in IMPORTED:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        job = json.loads(line)
        with tempfile.NamedTemporaryFile('w+') as output:
            child = os.fork()
            if not child:
                work(job, output.name)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            text = Path(output.name).read_text(errors='replace')
        answers.write(json.dumps({'code': code, 'output': text}) + '\n')
        answers.flush()


if __name__ == '__main__':
    serve()
