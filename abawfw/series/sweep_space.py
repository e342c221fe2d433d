"""The space of a sweep: which values of a config are tried."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import runpy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.config.overrides import parse_value
from abawfw.errors import ConfigError, counted, nearest
from abawfw.series.runs import PlannedRun

NAME_LENGTH = 120  # of a folder; file systems end at 255 bytes
AT_TEST = ('overlap', 'overlap_weights', 'postprocess', 'windows')
"""Values of a config that training, and so the raw score of a trained run, does not look at."""
DRAWS = 100  # for each trial that is wanted, before a space counts as exhausted
Values = dict[str, Any]


def read_space(path: Path) -> Values:
    """Read ``space = {dotted key: list of values or frozen distribution of scipy.stats}``.

    The file is a Python program, as configs are: read only those you trust.

    Raises:
        ConfigError: the file cannot be run, or what it assigns is no space; all that is wrong at once.
    """
    try:
        space = runpy.run_path(str(path)).get('space')
    except SystemExit as error:
        raise ConfigError(
            f'{path}: ends the program while it is read (sys.exit({error.code!r})); a space only sets values'
        ) from error
    except Exception as error:
        raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
    if not isinstance(space, dict) or not space:
        raise ConfigError(f'{path}: must assign space = {{key: [values], ...}}, not {space!r}')
    problems = []
    for key, values in space.items():
        if not isinstance(key, str):
            problems.append(f'{key!r}: a key is a text such as optim_wrapper.optimizer.lr')
        elif not is_distribution(values) and (not isinstance(values, (list, tuple)) or not values):
            problems.append(
                f'{key}: a list, or a frozen distribution such as scipy.stats.norm(0, 1), not {values!r}'
            )
        elif not is_distribution(values):
            problems += [f'{key}: {text}' for text in map(_word_problem, values) if text]
            twice = [v for i, v in enumerate(values) if _word(v) in map(_word, values[:i])]
            problems += [f'{key}: {value!r} stands there twice: it would be run once' for value in twice]
    if problems:
        title = f'{path}: {counted(len(problems), "problem")}'
        raise ConfigError('\n'.join([title, *(f'  {p}' for p in problems)]))
    return space


def grid(space: Mapping[str, Any]) -> list[Values]:
    """Every combination of the values, the last key varying fastest.

    Raises:
        ConfigError: a key has a distribution.

    >>> grid({'lr': [1e-4, 3e-4], 'hidden': [64]})
    [{'lr': 0.0001, 'hidden': 64}, {'lr': 0.0003, 'hidden': 64}]
    """
    endless = [key for key, values in space.items() if is_distribution(values)]
    if endless:
        raise ConfigError(
            f'{", ".join(endless)}: a distribution has no grid; draw from the space with --trials N'
        )
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def draw(space: Mapping[str, Any], trials: int, seed: int) -> list[Values]:
    """Draw different combinations at random; fewer trials of the same seed are the first ones of more.

    Raises:
        ConfigError: the space has fewer combinations.
    """
    if trials < 1:
        raise ConfigError(f'--trials {trials}: it must be 1 or more')
    if seed < 0:
        raise ConfigError(f'--seed {seed}: it must be 0 or more')
    sizes = [math.inf if is_distribution(v) else len(v) for v in space.values()]
    if trials > math.prod(sizes):
        raise ConfigError(
            f'--trials {trials}: the space has {math.prod(sizes)} combinations; omit it for all'
        )
    rng, found = np.random.default_rng(seed), dict[str, Values]()
    for _ in range(DRAWS * trials):
        values = {key: _draw(choices, rng) for key, choices in space.items()}
        found.setdefault(run_name(values), values)
        if len(found) == trials:
            return list(found.values())
    raise ConfigError(f'--trials {trials}: only {len(found)} different combinations were found; give fewer')


def to_run(values: Values, number: int | None = None, more: Mapping[str, Any] | None = None) -> PlannedRun:
    """The run with these values; its name depends on nothing else, but for its number in a search.

    Args:
        values: by dotted key, columns of the table.
        number: of the trial; trials of a search may have the same values.
        more: values that are no part of the space.
    """
    words = tuple(f'{key}={_word(value)}' for key, value in {**values, **(more or {})}.items())
    labels = {key: value if isinstance(value, (int, float)) else str(value) for key, value in values.items()}
    name = run_name(values) if number is None else f'{number:03d},{run_name(values)}'
    return PlannedRun(name, labels, words)


def run_name(values: Values) -> str:
    """Name of the folder: keys and values; with a digest of them where a file name cannot hold them all."""
    text = ','.join(f'{key}={_word(value)}' for key, value in values.items())
    safe = re.sub(r'[^\w.,=+\[\]-]', '_', text)
    if safe == text and len(text) <= NAME_LENGTH:
        return text
    return f'{safe[:NAME_LENGTH]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}'


def unknown_keys(config: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Which dotted keys name no place of a config, each with the nearest, or one of tests alone.

    A missing argument of a component is left to the check of the config, which knows what it accepts.
    """
    problems = {}
    for key in keys:
        if key.partition('.')[0] in AT_TEST:
            problems[key] = (
                f'{key}: no training looks at it, and no raw score by which runs are ranked: choose it for a '
                'trained run, tools/test.py RUN --search, or --overlap K'
            )
            continue
        node: Any = config
        *names, last = key.split('.')
        for i, name in enumerate([*names, last]):
            here = '.'.join([*names, last][:i])
            if not isinstance(node, dict):
                break  # in a list, or at a reference: reported when the value is set
            if name not in node:
                if 'type' not in node:
                    place = f'{here} has' if here else 'the config has'
                    problems[key] = f"{key}: {place} no '{name}': {nearest(name, node)}"
                break
            node = node[name]
    return problems


def is_distribution(values: Any) -> bool:
    """Whether this is a frozen distribution of ``scipy.stats``."""
    return hasattr(values, 'rvs') and hasattr(values, 'args')


def _draw(choices: Any, rng: np.random.Generator) -> Any:
    if not is_distribution(choices):
        return choices[rng.integers(len(choices))]
    value = choices.rvs(random_state=rng)
    return value.item() if hasattr(value, 'item') else value


def _word(value: Any) -> str:
    """A value as it stands on a command line: without quotes and blanks where it is read all the same."""
    value = value.item() if isinstance(value, np.generic) else value
    short = str(value)
    if isinstance(value, (list, tuple)):
        short = short.replace(' ', '').replace("'", '')
    return short if _is_read_as(short, value) else repr(value)


def _is_read_as(word: str, value: Any) -> bool:
    try:
        return repr(parse_value(word)) == repr(value)
    except ConfigError:
        return False


def _word_problem(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if _is_read_as(_word(value), value):
        return ''
    return f'{value!r} cannot stand on a command line: give numbers, texts, and lists and dicts of them'
