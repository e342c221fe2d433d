"""Loading a config: inheritance, references to top-level values, overrides."""

from __future__ import annotations

import ast
import copy
import importlib
import math
import pprint
import re
import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any
from unittest import mock

import numpy as np
from mmengine.config import Config
from mmengine.config.config import RESERVED_KEYS

from abawfw.components import described
from abawfw.errors import ConfigError, counted, nearest
from abawfw.files import shipped

# Keys of MMEngine's Runner that abawfw uses, and our own. `custom_imports` names users' own packages.
RUNNER_KEYS = frozenset(
    [
        *('model', 'train_dataloader', 'val_dataloader', 'train_cfg', 'val_cfg', 'optim_wrapper'),
        *('param_scheduler', 'val_evaluator', 'default_hooks', 'custom_hooks', 'load_from', 'visualizer'),
        *('default_scope', 'randomness', 'custom_imports'),
    ]
)
# Experiment trackers: each a key of its own, so that the bases that turn them on add up.
TRACKERS = ('tensorboard', 'wandb', 'mlflow')
OWN_KEYS = frozenset(
    [
        *('data_root', 'features', 'targets', 'seed', 'windows', 'postprocess', 'trial_files', 'intervals'),
        *('overlap', 'overlap_weights', 'matmul_precision', 'threads', 'compile', *TRACKERS),
    ]
)

REFERENCE = re.compile(r'\$\{(\w+)\}')
# What MMEngine fills in before a file is Python: `{{$NAME:default}}`, `{{_base_.name}}`, `{{fileDirname}}`.
_FILLED_IN = re.compile(r'\{\{.*?\}\}')


class VAConfig(Config):
    """MMEngine's config with a text form that is written in milliseconds instead of a second."""

    @property
    def pretty_text(self) -> str:
        """The config as Python source, one assignment per top-level key."""
        values = self.to_dict().items()
        return ''.join(f'{k} = {pprint.pformat(v, width=100, sort_dicts=False)}\n' for k, v in values)


def load_config(path: str | Path, overrides: dict[str, Any] | None = None) -> VAConfig:
    """Load a config file; references (``'${name}'``) are kept, see :func:`resolve`.

    A config is a Python program, as in all of MMEngine: load only files you trust. Numbers of numpy and paths
    become plain values; classes, functions and modules at the top level are helpers of the program.

    Args:
        path: the config file, or one that comes with abawfw, such as ``rucaim3/transformer_demo.py``.
        overrides: values by dotted key, as given on a command line; they come last and replace what is there.

    Raises:
        ConfigError: the file is missing or is not a valid config, there is no place for an override, or a
            module of ``custom_imports`` cannot be imported.

    >>> cfg = load_config('rucaim3/transformer_demo.py', {'lr': 1e-4})
    >>> cfg.lr, cfg.optim_wrapper.optimizer.lr
    (0.0001, '${lr}')
    """
    path = find_config(path)
    own_names = _check_files(path)
    try:
        with mock.patch.multiple(Config, _get_cfg_path=base_path, _parse_scope=_check_nesting):
            loaded = Config.fromfile(path, lazy_import=False, import_custom_modules=False)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f'{path}: {_failure(error)}') from error
    _check_sizes(path, loaded._cfg_dict)
    config = {k: _plain(v) for k, v in loaded.to_dict().items() if not isinstance(v, _HELPERS)}
    for key, value in (overrides or {}).items():
        _override(config, key, _plain(value))
    _import_modules(config.get('custom_imports'), path)
    own = {*own_names, *(key.partition('.')[0] for key in overrides or {})}
    drop_unused(config, set(REFERENCE.findall(loaded.text)) - own - RUNNER_KEYS - OWN_KEYS)
    return VAConfig(config, filename=str(path))


def find_config(path: str | Path) -> Path:
    """The config file of this name; where there is none, the one of those that come with abawfw.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(path)
    if path.is_file():
        return path
    configs = shipped('configs')
    inner = configs.joinpath(*path.parts[path.parts[:1] == ('configs',) :])
    if not path.is_absolute() and inner.is_file():
        return inner
    known = [p.relative_to(configs).as_posix() for p in configs.rglob('*.py')]
    near = get_close_matches(path.as_posix(), known, n=1, cutoff=0.8)
    raise ConfigError(f'{path}: no such config file{f"; did you mean {near[0]!r}?" if near else ""}')


def base_path(base: str, child: str) -> tuple[str, None]:
    """Where a base of a config lies: beside it, or ``abawfw::NAME`` among those that come with abawfw.

    Stands in for ``Config._get_cfg_path``, whose ``package::NAME`` needs a package installed by MIM.

    Raises:
        ConfigError: there is no such config, or the base is no text.
    """
    if not isinstance(base, str):
        raise ConfigError(f'{child}: _base_ must be a path or a list of paths, not {repr(base)[:60]}')
    package, colons, name = base.partition('::')
    if not colons:
        return str(Path(child).parent / base), None
    if package != 'abawfw':
        raise ConfigError(f"{child}: _base_ = '{base}': only 'abawfw::NAME' and paths are known")
    return str(find_config(shipped('configs') / name)), None


def _check_nesting(values: Mapping[str, Any]) -> None:
    """Name the value on which MMEngine would fail; stands in for its scopes of other libraries' bases."""
    for key, value in values.items():
        try:
            _plain(value)
        except RecursionError:
            raise RecursionError(f"'{key}' nests too deeply, or holds itself") from None


MOST_VALUES = 20_000  # of one key; each is checked, written into the run's folder and read again


def _check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse values of so many parts that all further work on them would take minutes."""
    for key in config:
        waiting: list[Any] = [config[key]]
        count = 0
        while waiting:
            item = waiting.pop()
            if isinstance(item, (Mapping, list, tuple)):
                count += len(item)
                if count > MOST_VALUES:
                    raise ConfigError(
                        f'{path}: {key}: holds more than {MOST_VALUES:,} values; a config holds settings, '
                        'and data stand in files'
                    )
                waiting += dict.values(item) if isinstance(item, dict) else item


_HELPERS = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def _plain(value: Any) -> Any:
    """A value as it can be written down: numbers of numpy and paths as plain ones, the rest as it is."""
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(v) for v in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, PurePath) else value


def not_plain(config: Config) -> list[str]:
    """Values that cannot be written down, a line each."""
    return list(_not_plain(config.to_dict(), ''))


def _not_plain(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            here = f'{place}.{key}' if place else str(key)
            yield from _not_plain(key, f'{here} (the key)') if not isinstance(key, str) else ()
            yield from _not_plain(item, here)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _not_plain(item, f'{place}[{i}]')
    elif isinstance(value, float) and not math.isfinite(value):
        yield f'{place}: {value} is no number that a config can hold; give a finite one, or None for no limit'
    elif value is not None and type(value) not in (str, int, float, bool):
        kind = 'a class or function' if isinstance(value, _HELPERS) else f'of type {type(value).__name__}'
        text = ' '.join(repr(value).split())
        yield (
            f'{place}: {text[:60]} is {kind}, which cannot be written into the config of a run: give '
            'numbers, texts, None, True, False, and lists and dicts of them'
        )


def _failure(error: BaseException) -> str:
    """Why MMEngine could not read a file."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Duplicate key' in text:
        keys = text.rpartition('Duplicate keys: ')[2]
        return f'two of its bases set the same: {keys}; keep one of them, or let one inherit the other'
    if isinstance(error, SystemExit):
        return f'ends the program while it is loaded (sys.exit({error.code!r})); a config only sets values'
    return text if isinstance(error, RecursionError) else f'{type(error).__name__}: {text}'


def _check_files(path: Path, above: tuple[Path, ...] = ()) -> set[str]:
    """Look at a file and its bases as text, for what MMEngine would fail at without a hint.

    Returns:
        The top-level names that the file itself sets.
    """
    if path.suffix != '.py':
        raise ConfigError(f'{path}: a config is a Python file, NAME.py: write these values as Python')
    try:
        text = path.read_bytes().decode('utf-8')
        for character, name in (('\ufeff', 'a byte order mark (BOM)'), ('\0', 'a NUL')):
            if character in text:
                line = text[: text.index(character)].count('\n') + 1
                raise ConfigError(f'{path}: {name} in line {line}: save it as plain UTF-8 without')
        tree = ast.parse(_FILLED_IN.sub('None', text))
    except SyntaxError as error:
        raise ConfigError(f'{path}: SyntaxError: {error.msg}, line {error.lineno}') from error
    except (ValueError, RecursionError, MemoryError) as error:  # bytes that are no text, brackets without end
        raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
    for node in ast.walk(tree) if 'read_base' in text else ():
        if isinstance(node, ast.With) and 'read_base' in ast.dump(node.items[0]):
            raise ConfigError(
                f'{path}, line {node.lineno}: `with read_base()` is the other style of MMEngine, in which '
                "classes stand in a config; here bases are named by path, _base_ = ['./other.py'], and "
                'components by text'
            )
    names = set()
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                names |= {t.id for t in targets if isinstance(t, ast.Name)}
                if '_base_' in names and any(isinstance(t, ast.Name) and t.id == '_base_' for t in targets):
                    _check_bases(value, path, above)
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def _check_bases(node: ast.expr, path: Path, above: tuple[Path, ...]) -> None:
    try:
        bases = ast.literal_eval(node)
    except ValueError:  # made by the program
        return
    for name in bases if isinstance(bases, list) else [bases]:
        base = Path(base_path(name, str(path))[0])
        if base.resolve() in (*above, path.resolve()):
            raise ConfigError(f'{base} inherits from itself')
        if base.is_file():
            _check_files(base, (*above, path.resolve()))


def _import_modules(given: Any, path: Path) -> None:
    """Import what ``custom_imports`` names."""
    if given is None:
        return
    imports = given.get('imports') if isinstance(given, dict) else None
    names = [imports] if isinstance(imports, str) else imports
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: custom_imports must be dict(imports=['my_package']), not {given!r}")
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            if isinstance(error, ImportError) and given.get('allow_failed_imports') is True:
                continue
            raise ConfigError(
                f'{path}: custom_imports: {name} cannot be imported ({described(error)}); say with '
                'PYTHONPATH where Python finds your package'
            ) from error


def resolve(config: Config) -> VAConfig:
    """Replace every reference to a top-level value, so that each value stands in one place of a config.

    ``'${features}'`` becomes a copy of the top-level value ``features``, of any type; inside a longer string
    the value's text is put in. References are resolved after inheritance and overrides, so changing
    ``features`` in a child config or on the command line reaches every place that names it.

    Raises:
        ConfigError: references that name no top-level value or refer to themselves, all at once.

    >>> resolve(load_config('rucaim3/transformer_demo.py', {'lr': 1e-4})).optim_wrapper.optimizer.lr
    0.0001
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
        whole = REFERENCE.fullmatch(node)
        if whole:
            return value_of(whole[1], place, seen)
        return REFERENCE.sub(lambda m: str(value_of(m[1], place, seen)), node)

    # a top-level value counts as seen within itself, whether or not something refers to it
    resolved = {key: walk(value, key, (key,)) for key, value in top.items()}
    return VAConfig(resolved, filename=config.filename), list(problems)


def raise_problems(config: Config, problems: list[str]) -> None:
    """Raise one ConfigError with a line for each problem, if there are any."""
    if problems:
        title = f'{config.filename}: {counted(len(problems), "problem")}'
        raise ConfigError('\n'.join([title, *(f'  {problem}' for problem in problems)]))


def referenced_names(config: Config) -> set[str]:
    """Top-level names that some value of the config refers to."""
    return set(REFERENCE.findall(repr(config.to_dict())))


def stands_at(config: Config, place: str) -> str:
    """Where the value at a place of the resolved config stands in the config: references are followed.

    Args:
        config: references not resolved.
        place: such as ``model.context[0].hidden``, which may stand at ``hidden``.
    """
    top = config.to_dict()
    node: Any = top
    here = ''
    for index, name in re.findall(r'\[(\d+)\]|([^.\[\]]+)', place):
        try:
            node = node[int(index)] if index else node[name]
        except (KeyError, IndexError, TypeError):
            return place
        here += f'[{index}]' if index else f'.{name}' if here else name
        while isinstance(node, str) and (whole := REFERENCE.fullmatch(node)) and whole[1] in top:
            here, node = whole[1], top[whole[1]]
    return here


def drop_unused(config: dict[str, Any], candidates: set[str]) -> None:
    """Forget inherited values, such as sizes of a part that a child replaced, which nothing needs any more.

    A value that the experiment file sets is kept, so that the check reports one without any effect.
    """
    while unused := {k for k in candidates if k in config} - set(REFERENCE.findall(repr(config))):
        for key in unused:
            del config[key]


def _override(config: dict[str, Any], key: str, value: Any) -> None:
    """Set one value by its dotted key; a number is an index into a list.

    MMEngine's own merge cannot set a plain value within a list, and fails without a hint at a reference.
    """
    node: Any = config
    *names, last = key.split('.')
    if not all((*names, last)) or (names or [last])[0] in RESERVED_KEYS:
        raise ConfigError(f'{key}: no value of a config can have this name')
    for i, name in enumerate(names):
        node = node.setdefault(name, {}) if isinstance(node, dict) else _element(node, name, key)
        if isinstance(node, str) and (whole := REFERENCE.fullmatch(node)):
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
