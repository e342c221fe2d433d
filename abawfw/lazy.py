"""Rooms whose ``__init__.py`` lists names without importing what defines them."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


class LazyRoom(ModuleType):
    """A package that imports a public name when it is first asked for.

    A name that is also that of the file it stands in, as ``abawfw.apis.train``, always means the name.
    """

    _places: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        if name not in self._places:
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        value = getattr(importlib.import_module(self._places[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Python sets every imported module as an attribute of its package.
        if isinstance(value, ModuleType) and self._places.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._places})


def lazy(package: str) -> None:
    """Make a package list, and hand out lazily, what its ``__init__.py`` imports for type checkers alone.

    Args:
        package: its ``__name__``.
    """
    module = sys.modules[package]
    source = ast.parse(Path(str(module.__file__)).read_text(encoding='utf-8'))
    module._places = {  # type: ignore[attr-defined]
        alias.name: str(node.module)
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom)
        and str(node.module).startswith('abawfw.')
        and node.module != __name__
        for alias in node.names
    }
    module.__all__ = sorted(module._places)  # type: ignore[attr-defined]
    module.__class__ = LazyRoom
