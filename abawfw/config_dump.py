"""The config that a run left in its folder, read as data."""

from __future__ import annotations

import ast
from pathlib import Path

from abawfw.config import VAConfig
from abawfw.errors import ConfigError


def read_dump(path: Path) -> VAConfig:
    """Read a dumped config without running it.

    A config is a program, and that of somebody else's run may do anything; a dump holds nothing but
    assignments of plain values, which need not be run.

    Raises:
        ConfigError: the file is missing, or holds anything else.
    """
    try:
        statements = ast.parse(path.read_text(encoding='utf-8')).body
        values = {}
        for statement in statements:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                raise ConfigError(f'{path}, line {statement.lineno}: a dumped config only assigns values')
            values[statement.targets[0].id] = ast.literal_eval(statement.value)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfigError(f'{path}: cannot be read as a dumped config: {error}') from error
    return VAConfig(values, filename=str(path))
