"""A ``python`` whose command lines of tools/ are forked from one process that has imported everything.

What it starts is a process of its own as any other: with its own open files, folder, environment, exit code,
signals and limit on the size of files, and it may be killed. It has only not to import PyTorch and MMEngine
anew, which takes seconds.
The same holds for processes that multiprocessing spawns. Anything else is started by the real interpreter.

``python()`` starts the server and gives the path of a small program that hands its command line to the
server and waits. In what is forked ``sys.executable`` is that program, too, so that the runs and workers that
a command line starts are forked as well; ``forked_workers()`` has this process do so.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

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
    *('opensmile', 'onnxruntime', 'scipy.fft', 'abawfw.extraction.extractors'),
    *('abawfw.extraction.pipeline.extract', 'abawfw.extraction.faces.detectors'),
)
# What only some tools need, or the workers that they spawn; imported before the first of them runs.
IMPORTED_FOR = {
    'export.py': ('abawfw.apis.export', 'onnxruntime', 'onnxscript', 'torch.onnx._internal.exporter._core'),
    'extract_features.py': EXTRACTION,
    'infer.py': EXTRACTION,
    '-c': EXTRACTION,
}
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@functools.cache
def python() -> str:
    """Path of the program, for this process and what it starts."""
    folder = Path(tempfile.mkdtemp(prefix='forked_python_'))
    program, address = folder / 'python', folder / 'socket'
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -I -S "{Path(__file__).resolve()}" "{sys.executable}" '
        f'"{address}" "$@"\n'
    )
    program.chmod(0o755)
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    # ends with its standard input, hence with this process at the latest
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), 'serve', str(address), str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # a terminal's Ctrl-C is for what it runs
    )
    assert server.stdin is not None
    assert server.stdout is not None
    stdin = server.stdin

    def end() -> None:
        stdin.close()
        server.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    assert server.stdout.readline() == b'ready\n'
    server.stdout.close()
    return str(program)


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


def is_forked(words: list[str]) -> bool:
    """Whether the server runs these arguments of ``python``: a tool, of this clone or a copy, or a worker.

    Also the process of tests that trains in children of its own, which needs the same imports.
    """
    if words[:1] == ['-c']:
        return '--multiprocessing-fork' in words
    if words and Path(words[0]).name == 'train_server.py':
        return True
    return bool(words) and 'tools' in [parent.name for parent in Path(words[0]).absolute().parents[:2]]


def ask(interpreter: str, address: str, words: list[str]) -> NoReturn:
    """The program: have the server run a command line, or become the interpreter."""
    if not is_forked(words):
        os.execv(interpreter, [interpreter, *words])
    files = sorted(int(name) for name in os.listdir('/proc/self/fd'))
    files = [file for file in files if os.path.exists(f'/proc/self/fd/{file}')]  # but that of the folder
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        job = {'words': words, 'folder': os.getcwd(), 'environment': dict(os.environ), 'files': files}
        job['largest_file'] = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        socket.send_fds(connection, [b'-'], files)
        with connection.makefile('rw') as both:
            both.write(json.dumps(job) + '\n')
            both.flush()
            worker = int(both.readline())
            for number in FORWARDED:
                signal.signal(number, lambda number, _: os.kill(worker, number))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
            code = int(both.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(address: str) -> dict[str, Any]:
    """Fork a process for every program that asks, until standard input ends.

    Returns:
        In each process that was forked: its job.
    """
    import gc
    import importlib
    import selectors

    import torch

    torch.set_num_threads(1)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(address)
    listening.listen()
    sys.stdout.write('ready\n')
    sys.stdout.flush()
    waited = selectors.DefaultSelector()
    waited.register(0, selectors.EVENT_READ)
    waited.register(listening, selectors.EVENT_READ)
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
                    importlib.import_module(name)
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
    if sys.argv[1] == 'serve':
        become(serve(sys.argv[2]), sys.argv[3])
    else:
        ask(sys.argv[1], sys.argv[2], sys.argv[3:])
