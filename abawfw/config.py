"""Loading a config: inheritance, references to top-level values, overrides."""

from __future__ import annotations

import ast
import copy
import pprint
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.errors import ConfigError, nearest

# Keys of MMEngine's Runner that abawfw uses, and our own. `custom_imports` (users' own packages) is carried
# out by Config when it reads the file.
RUNNER_KEYS = frozenset(
    [
        *('model', 'train_dataloader', 'val_dataloader', 'train_cfg', 'val_cfg', 'optim_wrapper'),
        *('param_scheduler', 'val_evaluator', 'default_hooks', 'custom_hooks', 'load_from', 'visualizer'),
        *('default_scope', 'randomness', 'custom_imports'),
    ]
)
OWN_KEYS = frozenset(['data_root', 'features', 'targets', 'seed', 'windows', 'postprocess', 'trial_files'])

_REFERENCE = re.compile(r'\$\{(\w+)\}')


class VAConfig(Config):
    """MMEngine's config with a text form that is written in milliseconds instead of a second."""

    @property
    def pretty_text(self) -> str:
        """The config as Python source, one assignment per top-level key."""
        values = self.to_dict().items()
        return ''.join(f'{k} = {pprint.pformat(v, width=100, sort_dicts=False)}\n' for k, v in values)


def load_config(path: str | Path, overrides: dict[str, Any] | None = None) -> VAConfig:
    """Load a config file; references (``'${name}'``) are kept, see :func:`resolve`.

    A config is a Python program, as in all of MMEngine: load only files you trust.

    Args:
        path: the config file.
        overrides: values by dotted key, as given on a command line; they come last and replace what is there.

    Raises:
        ConfigError: the file is missing or is not a valid config, or there is no place for an override.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'{path}: no such config file')
    try:
        loaded = Config.fromfile(path, lazy_import=False)
    except Exception as error:
        raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
    config = loaded.to_dict()
    for key, value in (overrides or {}).items():
        _override(config, key, value)
    own = {*_assigned_names(path), *(key.partition('.')[0] for key in overrides or {})}
    drop_unused(config, set(_REFERENCE.findall(loaded.text)) - own - RUNNER_KEYS - OWN_KEYS)
    return VAConfig(config, filename=str(path))


def resolve(config: Config) -> VAConfig:
    """Replace every reference to a top-level value, so that each value stands in one place of a config.

    ``'${features}'`` becomes a copy of the top-level value ``features``, of any type; inside a longer string
    the value's text is put in. References are resolved after inheritance and overrides, so changing
    ``features`` in a child config or on the command line reaches every place that names it.

    Raises:
        ConfigError: references that name no top-level value or refer to themselves, all at once.
    """
    resolved, problems = resolve_references(config)
    raise_problems(config, problems)
    return resolved


def resolve_references(config: Config) -> tuple[VAConfig, list[str]]:
    """Replace the references that can be; the others stay, and one line each says what is wrong."""
    top = config.to_dict()
    problems: dict[str, None] = {}

    def value_of(name: str, place: str, seen: tuple[str, ...]) -> Any:
        if name in seen:
            problems[f'{place}: {" -> ".join((*seen, name))} refers to itself'] = None
        elif name not in top:
            problems[f"{place}: refers to '{name}', which is no top-level value: {nearest(name, top)}"] = None
        else:
            return walk(copy.deepcopy(top[name]), name, (*seen, name))
        return f'${{{name}}}'

    def walk(node: Any, place: str, seen: tuple[str, ...]) -> Any:
        if isinstance(node, dict):
            return {k: walk(v, f'{place}.{k}', seen) for k, v in node.items()}
        if isinstance(node, (list, tuple)):
            return type(node)(walk(v, f'{place}[{i}]', seen) for i, v in enumerate(node))
        if not isinstance(node, str):
            return node
        whole = _REFERENCE.fullmatch(node)
        if whole:
            return value_of(whole[1], place, seen)
        return _REFERENCE.sub(lambda m: str(value_of(m[1], place, seen)), node)

    # a top-level value counts as seen within itself, whether or not something refers to it
    resolved = {key: walk(value, key, (key,)) for key, value in top.items()}
    return VAConfig(resolved, filename=config.filename), list(problems)


def raise_problems(config: Config, problems: list[str]) -> None:
    """Raise one ConfigError with a line for each problem, if there are any."""
    if problems:
        title = f'{config.filename}: {len(problems)} problem(s)'
        raise ConfigError('\n'.join([title, *(f'  {problem}' for problem in problems)]))


def referenced_names(config: Config) -> set[str]:
    """Top-level names that some value of the config refers to."""
    return set(_REFERENCE.findall(pprint.pformat(config.to_dict())))


def _assigned_names(path: Path) -> set[str]:
    """Top-level names that this file itself sets, not its bases."""
    statements = ast.parse(path.read_text(encoding='utf-8')).body
    targets = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
    return {t.id for t in targets if isinstance(t, ast.Name)}


def drop_unused(config: dict[str, Any], candidates: set[str]) -> None:
    """Forget inherited values, such as sizes of a part that a child replaced, which nothing needs any more.

    A value that the experiment file sets is kept, so that the check reports one without any effect.
    """
    while unused := {k for k in candidates if k in config} - referenced_names(VAConfig(config)):
        for key in unused:
            del config[key]


def _override(config: dict[str, Any], key: str, value: Any) -> None:
    """Set one value by its dotted key; a number is an index into a list.

    MMEngine's own merge cannot set a plain value within a list, and fails without a hint at a reference.
    """
    node: Any = config
    *names, last = key.split('.')
    for i, name in enumerate(names):
        node = node.setdefault(name, {}) if isinstance(node, dict) else _element(node, name, key)
        if isinstance(node, str) and (whole := _REFERENCE.fullmatch(node)):
            stands = '.'.join([whole[1], *names[i + 1 :], last])
            raise ConfigError(f"{key}: {'.'.join(names[: i + 1])} is '{node}'; set {stands} instead")
    if isinstance(node, dict):
        node[last] = value
    else:
        _element(node, last, key)
        node[int(last)] = value


def _element(node: Any, name: str, key: str) -> Any:
    if not isinstance(node, list):
        raise ConfigError(f"{key}: there is no '{name}' within {node!r}")
    if not name.isdecimal() or int(name) >= len(node):
        raise ConfigError(f"{key}: '{name}' is no index into a list of {len(node)}, the first of which is 0")
    return node[int(name)]
