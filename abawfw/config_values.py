"""A config file read as data, without running it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from mmengine.config.config import RESERVED_KEYS

from abawfw.config import VAConfig
from abawfw.errors import ConfigError


def read_values(path: Path) -> dict[str, Any]:
    """The values that one config file assigns by name, ``_base_`` among them; its bases are not read.

    Raises:
        ConfigError: the file is missing, or holds more than values; says where.
    """
    try:
        statements = ast.parse(path.read_text(encoding='utf-8')).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f'{path} cannot be read: {error}') from error
    values = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in RESERVED_KEYS:
                try:
                    values[name] = _value(value, path)
                except (TypeError, RecursionError) as error:  # a list as a key; brackets without end
                    raise ConfigError(f'{path}, line {statement.lineno}: {error}') from error
            case ast.Expr(value=ast.Constant()):  # a docstring
                continue
            case _:
                raise _more_than_values(statement, path)
    return values


def read_config(path: Path) -> VAConfig:
    """The values of a file as a config, references not resolved; bases are not read.

    Raises:
        ConfigError: see ``read_values``.
    """
    return VAConfig(read_values(path), filename=str(path))


def _value(node: ast.expr, path: Path) -> Any:
    match node:
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {
                _value(key, path): _value(value, path)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
        case ast.List(elts=items):
            return [_value(item, path) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item, path) for item in items)
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=words) if all(w.arg for w in words):
            return {word.arg: _value(word.value, path) for word in words}
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _more_than_values(node, path) from error


def _more_than_values(node: ast.stmt | ast.expr, path: Path) -> ConfigError:
    return ConfigError(f'{path}, line {node.lineno}: what it holds is known only when it is run')
