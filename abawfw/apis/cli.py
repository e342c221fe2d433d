"""The frame around every command line."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

from abawfw.errors import AbawfwError


def run(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and leave the process.

    An error that abawfw raises on purpose, or that the operating system reports, becomes one message on
    standard error and exit code 2, without a traceback; Ctrl-C becomes exit code 130; anything else is a bug
    and keeps its traceback. What the encoding of the terminal cannot show is written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        code = main()
    except AbawfwError as error:
        sys.stdout.flush()
        sys.stderr.write(f'error: {_without_worker(error)}\n')
        code = 2
    except OSError as error:  # a full disk, a folder that may not be written: the machine's matter, not a bug
        sys.stdout.flush()
        sys.stderr.write(f'error: {error}\n')
        code = 2
    except KeyboardInterrupt as interruption:
        sys.stderr.write(f'{interruption or "interrupted"}\n')
        code = 130
    sys.exit(code or 0)


def _without_worker(error: AbawfwError) -> str:
    """The message alone: what a data loader's worker raises arrives with the worker's traceback around it."""
    text = str(error)
    if not re.match(r'Caught \w+ in DataLoader worker process', text):
        return text
    kind = type(error)
    return text.rpartition(f'{kind.__module__}.{kind.__qualname__}: ')[2].strip()
