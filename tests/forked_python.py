"""A ``python`` whose command lines of tools/ are forked from one process that has imported everything.

What it starts is a process of its own as any other: with its own open files, folder, environment, exit code,
signals and limit on the size of files, and it may be killed. It has only not to import PyTorch and MMEngine
anew, which takes seconds.
The same holds for processes that multiprocessing spawns. Anything else is started by the real interpreter.

``run()`` has the server run a command line and waits. ``python()`` gives the path of a small program that
does so as a process that can be sent signals. In what is forked ``sys.executable`` is that program, too, so
that the runs and workers that a command line starts are forked as well; ``forked_workers()`` has this process
do so.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from forked_program import hand_over

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = (
    *('abawfw.apis.train', 'abawfw.apis.test', 'abawfw.apis.infer', 'abawfw.apis.extract_features'),
    *('abawfw.apis.check_build', 'abawfw.apis.check_data', 'abawfw.apis.cross_validate', 'abawfw.apis.sweep'),
    *('abawfw.apis.compare', 'abawfw.apis.report', 'abawfw.models', 'abawfw.models.fusions'),
    *('abawfw.models.contexts', 'abawfw.models.heads', 'abawfw.models.losses', 'abawfw.datasets.clips'),
    *('abawfw.datasets.transforms', 'abawfw.datasets.samplers', 'abawfw.datasets.importers.affwild2'),
    *('abawfw.datasets.demo.trials', 'abawfw.engine.optim', 'abawfw.engine.loops', 'torch._dynamo'),
    *('abawfw.submission.ensemble', 'matplotlib.backends.backend_agg', 'matplotlib.figure', 'pandas'),
    *('pydantic.type_adapter', 'abawfw.apis.cli', 'abawfw.models.weight_files', 'pydantic.fields'),
    *('scipy.special', 'abawfw.models.layers.cpu.lstm', 'abawfw.apis.postprocessing'),
    *('abawfw.models.encoders', 'abawfw.models.backbones', 'abawfw.results.report_file'),
)
EXTRACTION = (
    *('opensmile', 'onnx', 'onnxruntime', 'scipy.fft', 'abawfw.extraction.extractors'),
    *('abawfw.extraction.pipeline.extract', 'abawfw.extraction.faces.detectors'),
)
# What only some tools need, or the workers that they spawn; imported before the first of them runs.
IMPORTED_FOR = {
    'export.py': ('abawfw.apis.export', 'onnxruntime', 'onnxscript', 'torch.onnx._internal.exporter._core'),
    'extract_features.py': EXTRACTION,
    'infer.py': EXTRACTION,
    '-c': EXTRACTION,
}


def python() -> str:
    """Path of the program, for this process and what it starts."""
    return str(_started() / 'python')


PLACE = 'FORKED_PYTHON'


def start_for_all() -> None:
    """Start the server of this process and of those that it starts; it imports when it is first asked."""
    os.environ[PLACE] = str(_started())


@functools.cache
def _started() -> Path:
    """Folder with the program and the address of the server, which has been started."""
    if PLACE in os.environ:
        return Path(os.environ[PLACE])
    folder = Path(tempfile.mkdtemp(prefix='forked_python_'))
    program, address = folder / 'python', folder / 'socket'
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -I -S "{ROOT / "tests/forked_program.py"}" "{sys.executable}" '
        f'"{address}" "$@"\n'
    )
    program.chmod(0o755)
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(address))
        listening.listen()
        # ends with its standard input, hence with this process at the latest
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(listening.fileno()), str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            pass_fds=[listening.fileno()],
            start_new_session=True,  # a terminal's Ctrl-C is for what it runs
        )
    assert server.stdin is not None
    stdin = server.stdin

    def end() -> None:
        stdin.close()
        server.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    return folder


def run(
    words: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    merged: bool = False,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run ``python WORDS`` with nothing to read, and wait for its end.

    Args:
        words: a tool and its arguments.
        folder: to run in; that of this process by default.
        environment: all variables.
        merged: whether errors go where output goes.
        timeout: in seconds, until it is killed and TimeoutError raised.
    """
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        open(os.devnull, 'rb') as nothing,
        tempfile.TemporaryFile('w+', errors='replace') as out,
        tempfile.TemporaryFile('w+', errors='replace') as err,
    ):
        connection.settimeout(timeout)
        connection.connect(str(_started() / 'socket'))
        files = {0: nothing.fileno(), 1: out.fileno(), 2: (out if merged else err).fileno()}
        hand_over(connection, words, str(folder or Path.cwd()), environment, files)
        with connection.makefile() as answer:
            answer.readline()
            code = int(answer.readline())
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


@contextlib.contextmanager
def forked_workers() -> Iterator[None]:
    """Meanwhile processes that multiprocessing spawns from this one are forked from the server."""
    from multiprocessing import spawn

    interpreter = spawn.get_executable()
    spawn.set_executable(python())
    try:
        yield
    finally:
        spawn.set_executable(interpreter)


def serve(listening: socket.socket) -> dict[str, Any]:
    """Fork a process for every program that asks, until standard input ends.

    Args:
        listening: where they ask. Everything is imported when the first one does.

    Returns:
        In each process that was forked: its job.
    """
    import gc
    import importlib
    import selectors

    waited = selectors.DefaultSelector()
    waited.register(0, selectors.EVENT_READ)
    waited.register(listening, selectors.EVENT_READ)
    waited.select()
    gc.disable()
    import torch

    torch.set_num_threads(1)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.enable()
    gc.collect()
    gc.freeze()
    workers: dict[int, tuple[socket.socket, int, int]] = {}  # by what the selector watches
    while True:
        for key, _ in waited.select():
            if key.fd == 0:
                os._exit(0)
            elif key.fd == listening.fileno():
                connection = listening.accept()[0]
                received = socket.recv_fds(connection, 1, 250)[1]
                with connection.makefile() as file:
                    job = json.loads(file.readline())
                for name in IMPORTED_FOR.get(Path(job['words'][0]).name, ()):
                    module = importlib.import_module(name)
                    if name == 'opensmile':  # its first analysis reads what every package consists of
                        module.Smile(module.FeatureSet.eGeMAPSv02, module.FeatureLevel.Functionals)
                worker = os.fork()
                if worker == 0:
                    waited.close()
                    for one in {listening, connection, *(entry[0] for entry in workers.values())}:
                        one.close()
                    return job | {'received': received}
                for file_number in received:
                    os.close(file_number)
                end = os.pidfd_open(worker)
                connection.sendall(f'{worker}\n'.encode())
                for watched in (end, connection.fileno()):
                    workers[watched] = connection, worker, end
                    waited.register(watched, selectors.EVENT_READ)
            elif key.fd in workers:
                connection, worker, end = workers[key.fd]
                if key.fd != end:  # the program was killed, and with it what it stands for
                    os.kill(worker, signal.SIGKILL)
                code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
                for watched in (end, connection.fileno()):
                    waited.unregister(watched)
                    del workers[watched]
                if key.fd == end:
                    connection.sendall(f'{code}\n'.encode())
                connection.close()
                os.close(end)


def become(job: dict[str, Any], program: str) -> NoReturn:
    """Run a job's command line as the rest of this process."""
    import fcntl
    import multiprocessing
    import runpy
    import threading
    import traceback

    # what ends with the server is none of this process's business
    _theirs, weakref.finalize._registry = weakref.finalize._registry, {}
    aside = [fcntl.fcntl(number, fcntl.F_DUPFD, 500) for number in job['received']]
    for number in job['received']:
        os.close(number)
    for number, copy in zip(job['files'], aside, strict=True):
        os.dup2(copy, number)
        os.close(copy)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, 'w', closefd=False)
    sys.stderr = os.fdopen(2, 'w', closefd=False, errors='backslashreplace', buffering=1)
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, job['largest_file'])
    os.chdir(job['folder'])
    os.environ.clear()
    os.environ.update(job['environment'])
    sys.executable = program
    multiprocessing.set_executable(program)
    sys.argv = job['words']
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    sys.path[1:1] = filter(None, job['environment'].get('PYTHONPATH', '').split(os.pathsep))
    code = 1
    try:
        if sys.argv[0] == '-c':
            exec(sys.argv.pop(1), {'__name__': '__main__'})
        else:
            runpy.run_path(sys.argv[0], run_name='__main__')
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    # an interpreter's end, less the half second that it takes to free all modules one by one
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    become(serve(socket.socket(fileno=int(sys.argv[1]))), sys.argv[2])
