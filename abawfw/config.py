"""Loading a config: inheritance, references to top-level values, overrides."""

from __future__ import annotations

import copy
import pprint
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.errors import ConfigError

_REFERENCE = re.compile(r'\$\{(\w+)\}')


class VAConfig(Config):
    """MMEngine's config with a text form that is written in milliseconds instead of a second."""

    @property
    def pretty_text(self) -> str:
        """The config as Python source, one assignment per top-level key."""
        return '\n'.join(f'{k} = {pprint.pformat(v, width=100, sort_dicts=False)}' for k, v in self.to_dict().items()) + '\n'


def load_config(path: str | Path, overrides: dict[str, Any] | None = None) -> VAConfig:
    """Load a config file; references (``'${name}'``) are kept, see :func:`resolve`.

    A config is a Python program, as in all of MMEngine: load only files you trust.

    Args:
        path: the config file.
        overrides: values by dotted key, as given on a command line; they come last.

    Raises:
        ConfigError: the file is missing or is not a valid config.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'{path}: no such config file')
    try:
        config = Config.fromfile(path, lazy_import=False)
        if overrides:
            config.merge_from_dict(overrides)
    except Exception as error:
        raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
    return VAConfig(config.to_dict(), filename=str(path))


def resolve(config: Config) -> VAConfig:
    """Replace every reference to a top-level value, so that each value stands in one place of a config.

    ``'${features}'`` becomes a copy of the top-level value ``features``, of any type; inside a longer string the
    value's text is put in. References are resolved after inheritance and overrides, so changing ``features`` in
    a child config or on the command line reaches every place that names it.

    Raises:
        ConfigError: a reference names no top-level value, or refers to itself.
    """
    top = config.to_dict()

    def value_of(name: str, place: str, seen: tuple[str, ...]) -> Any:
        if name not in top:
            raise ConfigError(f"{place}: refers to '{name}', which is not a top-level value of the config")
        if name in seen:
            raise ConfigError(f'{place}: {" -> ".join((*seen, name))} refers to itself')
        return walk(copy.deepcopy(top[name]), name, (*seen, name))

    def walk(node: Any, place: str, seen: tuple[str, ...]) -> Any:
        if isinstance(node, dict):
            return {k: walk(v, f'{place}.{k}' if place else str(k), seen) for k, v in node.items()}
        if isinstance(node, (list, tuple)):
            return type(node)(walk(v, f'{place}[{i}]', seen) for i, v in enumerate(node))
        if not isinstance(node, str):
            return node
        whole = _REFERENCE.fullmatch(node)
        if whole:
            return value_of(whole[1], place, seen)
        return _REFERENCE.sub(lambda m: str(value_of(m[1], place, seen)), node)

    return VAConfig(walk(top, '', ()), filename=config.filename)


def referenced_names(config: Config) -> set[str]:
    """Top-level names that some value of the config refers to."""
    return set(_REFERENCE.findall(pprint.pformat(config.to_dict())))
