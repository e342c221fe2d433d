"""Optional packages, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from abawfw.errors import DataError

NO_MEMORY = ('failed to map segment', 'bad_alloc', 'Cannot allocate memory')
"""What the loader and C++ say of it."""


def optional_package(module: str, extra: str, what: str) -> ModuleType:
    """Import a package that not everybody needs.

    Args:
        module: what is imported, such as ``opensmile``.
        extra: of abawfw that brings it, such as ``features``.
        what: that needs it, for the error.

    Raises:
        DataError: it is not installed, or cannot be imported; says how to install it. Or there is not enough
            memory for it.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, MemoryError) as error:  # one that does not fit another: a RuntimeError
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
            raise DataError(f'{what} needs {module}, and there is not enough memory to load it') from error
        raise DataError(
            f'{what} needs {module}, which cannot be imported ({error}): pip install -e .[{extra}]'
        ) from error
