"""The frame around every command line: what it waits for, how it fails, how it is interrupted."""

from __future__ import annotations

import argparse
import io
import os
import re
import select
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from abawfw.config.overrides import Overrides
from abawfw.devices import AUTO
from abawfw.errors import AbawfwError, counted

NOTHING_KEPT = 'nothing was written, and what was there is as it was; give the same command again'


def run(main: Callable[[], int | None], interrupted: str = NOTHING_KEPT) -> None:
    """Run a command line's ``main`` and leave the process.

    An error that abawfw raises on purpose or that the operating system reports, and a GPU that is full,
    become one message on standard error and exit code 2, without a traceback; Ctrl-C becomes exit code 130;
    anything else is a bug and keeps its traceback. An output that is no longer read, as by ``| head -1``,
    ends the command quietly with exit code 141. What the encoding of the terminal cannot show is written as
    escapes.

    Args:
        main: returns the exit code.
        interrupted: what is kept at Ctrl-C and how to go on, where the interruption itself does not say so
            (``Interrupted``).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        code = main()
        sys.stdout.flush()
    except AbawfwError as error:
        code = _fail(_without_worker(error))
    except BrokenPipeError as error:
        code = _READER_GONE if _is_unread(sys.stdout) else _fail(str(error))
    except OSError as error:  # a full disk, a folder that may not be written: the machine's matter, not a bug
        code = _fail(str(error))
    except RuntimeError as error:
        text = _way_out(error)
        if text is None:
            raise
        code = _fail(text)
    except KeyboardInterrupt as interruption:
        sys.stderr.write(f'{str(interruption) or f"interrupted: {interrupted}"}\n')
        code = 130
    if code == _READER_GONE:  # what is still held back goes nowhere, and is not complained about
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code or 0)


_READER_GONE = 128 + signal.SIGPIPE  # as of any program whose output goes to `head`


def _is_unread(stream: TextIO) -> bool:
    """Whether a stream leads into a pipe that nobody reads any more."""
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # no file of the system
        return False
    return any(events & select.POLLERR for _, events in poll.poll(0))


def add_computing_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--device`` and ``--threads``, the same to every tool that runs a model."""
    add_device_option(parser)
    parser.add_argument(
        '--threads',
        type=_count,
        metavar='N',
        help='of the CPU; default: OMP_NUM_THREADS, or threads of the config, or 1 for small models',
    )


def add_override_option(parser: argparse.ArgumentParser, help: str = 'overrides') -> None:
    """Add ``--cfg-options``, the same to every tool that takes a config."""
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={}, metavar='K=V', help=help)


def add_overlap_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--overlap``, the same to every tool that predicts whole videos."""
    parser.add_argument(
        '--overlap',
        type=int,
        metavar='K',
        help='start clips every K-th of their length and average where they overlap; default: overlap of the '
        'config, or 1',
    )


def persons(text: str) -> int | str:
    """What ``--persons`` takes: 'all', a number, or 'largest', which is 1."""
    if text == 'all' or (text.isdecimal() and int(text)):
        return text if text == 'all' else int(text)
    if text != 'largest':
        raise argparse.ArgumentTypeError(
            f'must be largest, all, or a whole number of 1 or above, not {text!r}'
        )
    return 1


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be a whole number of 1 or above, not {text!r}')
    cores = os.cpu_count() or 1
    if int(text) > cores:
        raise argparse.ArgumentTypeError(f'{text} threads, but this machine has {counted(cores, "core")}')
    return int(text)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, the same to every tool that runs networks."""
    parser.add_argument(
        '--device',
        default=AUTO,
        help='cpu, cuda, or cuda:N for the N-th GPU; default: auto, a GPU if one is visible',
    )


def waits_for(what: str, module: str = 'torch') -> None:
    """Say at once, on standard error, what a command begins with, where that means to wait for an import.

    Args:
        what: it does.
        module: imported for it, which takes a second or many; nothing is written where it is there already,
            nor by other processes of a run than the first.
    """
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), '0')
    if module not in sys.modules and rank == '0':
        sys.stderr.write(f'{what} (loading {_LIBRARIES.get(module, module)} first) ...\n')
        sys.stderr.flush()


_RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')  # as launchers of several processes set it
_LIBRARIES = {'torch': 'PyTorch', 'mmengine': 'MMEngine'}


def _fail(text: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f'error: {text}\n')
    return 2


def _way_out(error: RuntimeError) -> str | None:
    """The message where a GPU is full or a worker of a data loader was killed; None for anything else."""
    if 'torch' not in sys.modules:
        return None
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        what = '. '.join(str(error).split('. ')[:2])  # then come a dozen figures, and switches of torch
        return (
            f'{what}: make train_sampler or val_sampler smaller (batch_size or lanes), or use --cfg-options '
            'train_dataloader.loading.type=Stream val_dataloader.loading.type=Stream, or --amp bf16'
        )
    from abawfw.datasets.loading.stream import worker_death

    return worker_death(error)


def _without_worker(error: AbawfwError) -> str:
    """The message alone: what a data loader's worker raises arrives with the worker's traceback around it."""
    text = str(error)
    if not re.match(r'Caught \w+ in DataLoader worker process', text):
        return text
    kind = type(error)
    return text.rpartition(f'{kind.__module__}.{kind.__qualname__}: ')[2].strip()
