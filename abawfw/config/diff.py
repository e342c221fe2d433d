"""What differs between two configs, and what a run changes of the config that it inherits."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.config.loading import VAConfig, base_path, load_config, resolve
from abawfw.errors import ConfigError

Place = tuple[str | int, ...]


def config_diff(ours: Config, theirs: Config) -> list[str]:
    """Compare two loaded configs, references not resolved.

    A value that both take from the same top-level value is not listed again where it is used.

    Returns:
        One line ``key: ours -> theirs`` per difference, in the order of the keys.

    Raises:
        ConfigError: a reference of either config names no top-level value, or refers to itself.

    >>> from abawfw.config import load_config
    >>> name = 'rucaim3/fclstm_xl_demo.py'
    >>> config_diff(load_config(name), load_config(name, {'hidden': 32}))
    ['hidden: 64 -> 32']
    """
    before, after = resolve(ours).to_dict(), resolve(theirs).to_dict()
    lines = []
    for path in _differing(ours.to_dict(), theirs.to_dict(), ()):
        texts = [_text(config, path) for config in (before, after)]
        if texts[0] != texts[1]:
            lines.append(f'{".".join(map(str, path))}: {texts[0]} -> {texts[1]}')
    return lines


def _differing(ours: Any, theirs: Any, path: Place) -> Iterator[Place]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            if key not in ours or key not in theirs:
                yield (*path, key)
            else:
                yield from _differing(ours[key], theirs[key], (*path, key))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differing(a, b, (*path, i))
    elif type(ours) is not type(theirs) or ours != theirs:
        yield path


def _text(config: Any, path: Place) -> str:
    for part in path:
        if isinstance(config, dict) and part not in config:
            return '(absent)'
        config = config[part]
    return repr(config)


def config_changes(run: VAConfig) -> dict[str, list[str] | None] | None:
    """Compare a run's config with the file that it comes from, and that with its bases.

    Args:
        run: loaded from a file, with the overrides of a command line.

    Returns:
        Lines as of ``config_diff``: ``file``, what the config file changes of its bases (None where they are
        no whole config by themselves), and ``command``, what the command line changes of the file. None
        where the file has no bases, a program makes their names, or the file has changed meanwhile.
    """
    path = Path(run.filename)
    try:
        bases, started = _bases(path), load_config(path)
    except (OSError, SyntaxError, ConfigError):  # changed or gone since it was loaded
        return None
    if bases is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / path.name
        alone.write_text(f'_base_ = {bases!r}\n', encoding='utf-8')
        try:
            inherited = load_config(alone)
            by_file = _without_forgotten(inherited, started)
        except ConfigError:
            by_file = None
    return {'file': by_file, 'command': _without_forgotten(started, run)}


def _bases(path: Path) -> list[str] | None:
    """The files that a config names as its bases."""
    for statement in ast.parse(path.read_text(encoding='utf-8')).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id='_base_')], value=value):
                try:
                    names = ast.literal_eval(value)
                except ValueError:
                    return None
                given = [names] if isinstance(names, str) else names
                return [str(Path(base_path(name, str(path))[0]).resolve()) for name in given]
    return None


def _without_forgotten(before: VAConfig, after: VAConfig) -> list[str]:
    """The differences, without values that were forgotten because nothing needs them any more."""
    forgotten = tuple(f'{key}: ' for key in set(before) - set(after))
    return [line for line in config_diff(before, after) if not line.startswith(forgotten)]


def read_written(path: Path) -> VAConfig:
    """The config that a run wrote down, read as values: nothing in the file is run.

    Raises:
        ConfigError: the file is missing, or is not as a run writes it; says where.
    """
    values = {}
    try:
        for statement in ast.parse(path.read_text(encoding='utf-8')).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = ast.literal_eval(value)
                case _:
                    raise ValueError(f'line {statement.lineno} is not NAME = VALUE')
        return VAConfig(values, filename=str(path))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f'{path} cannot be read as the config of a run: {error}; tools/train.py '
            'with --resume writes it anew'
        ) from error
