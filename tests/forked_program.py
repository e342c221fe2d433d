"""The program that stands for ``python`` (see forked_python); it imports little, for it is started often."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from itertools import dropwhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hand_over(
    connection: socket.socket,
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    files: Mapping[int, int],
) -> None:
    """Have the server run a command line; its process number comes as a line, and at its end its exit code.

    Args:
        connection: to the server. Closing it before the end kills the process.
        words: arguments of ``python``.
        folder: to run in.
        environment: all variables.
        files: what its open files are, by number: files of this process.
    """
    job = {'words': words, 'folder': folder, 'environment': dict(environment), 'files': list(files)}
    job['largest_file'] = resource.getrlimit(resource.RLIMIT_FSIZE)
    socket.send_fds(connection, [b'-'], list(files.values()))
    connection.sendall((json.dumps(job) + '\n').encode())


def forked_words(words: Sequence[str]) -> list[str]:
    """Of arguments of ``python`` those that the server runs: a tool, of this clone or a copy, or a worker.

    Also the process of tests that trains in children of its own, which needs the same imports. A worker's
    come after flags of the interpreter that it is given as its parent was.
    """
    after = [*dropwhile(lambda word: word.startswith('-') and word != '-c', words)]
    if after[:1] == ['-c']:
        return after if '--multiprocessing-fork' in after else []
    path = os.path.abspath(words[0]).split(os.sep) if words else ['']
    return [*words] if 'tools' in path[-3:-1] or path[-1] == 'train_server.py' else []


def main(interpreter: str, address: str, *words: str) -> NoReturn:
    """Have the server run a command line, or become the interpreter."""
    forked = forked_words(words)
    if not forked:
        os.execv(interpreter, [interpreter, *words])
    files = sorted(int(name) for name in os.listdir('/proc/self/fd'))
    files = [file for file in files if os.path.exists(f'/proc/self/fd/{file}')]  # but that of the folder
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        hand_over(connection, forked, os.getcwd(), os.environ, dict(zip(files, files, strict=True)))
        with connection.makefile() as answer:
            worker = int(answer.readline())
            for number in FORWARDED:
                signal.signal(number, lambda number, _: os.kill(worker, number))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
            code = int(answer.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == '__main__':
    main(*sys.argv[1:])
