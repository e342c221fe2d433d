"""Optional packages, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from abawfw.errors import DataError


def optional_package(module: str, extra: str, what: str) -> ModuleType:
    """Import a package that not everybody needs.

    Args:
        module: what is imported, such as ``opensmile``.
        extra: of abawfw that brings it, such as ``features``.
        what: that needs it, for the error.

    Raises:
        DataError: it is not installed, or cannot be imported; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # a package that does not fit another one is a RuntimeError
        raise DataError(
            f'{what} needs {module}, which cannot be imported ({error}): pip install -e .[{extra}]'
        ) from error
