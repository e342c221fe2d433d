"""What a run changes of the config that it inherits, without running any config."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from abawfw.config import OWN_KEYS, RUNNER_KEYS, VAConfig, base_path, drop_unused, referenced_names
from abawfw.config_diff import config_diff
from abawfw.config_values import read_config, read_values
from abawfw.errors import AbawfwError, ConfigError


class ConfigChanges(NamedTuple):
    """Lines ``key: before -> after``.

    Attributes:
        by_file: what the experiment file changes of its bases.
        by_command: what the command line changed of the experiment file.
    """

    by_file: list[str]
    by_command: list[str]


def config_changes(experiment: Path, dumped: Path) -> ConfigChanges:
    """Compare a run's config with the file that it was started from, and that with its bases.

    A config is a program. These are read instead: plain values and ``dict(...)``, as nearly all configs are.

    Args:
        experiment: the file that the run was started from, as it is now.
        dumped: config.py of the run's work_dir.

    Raises:
        ConfigError: a file is missing, or holds more than values; says where.
    """
    run = read_config(dumped)
    own = read_values(experiment)
    references = referenced_names(Config(own))
    base = VAConfig(_inherited(own, experiment, references), filename=str(experiment))
    merged = _merged(base.to_dict(), own)
    drop_unused(merged, references - set(own) - RUNNER_KEYS - OWN_KEYS)  # as load_config does
    started = VAConfig(merged, filename=str(experiment))
    return ConfigChanges(_diff(base, started), _diff(started, run))


def _inherited(
    own: dict[str, Any], path: Path, references: set[str], above: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """The bases of a file, merged; takes ``_base_`` out of ``own`` and adds to the ``references``."""
    bases = own.pop('_base_', [])
    merged: dict[str, Any] = {}
    for name in [bases] if isinstance(bases, str) else bases:
        base = Path(base_path(name, str(path))[0]).resolve()
        if base in above:
            raise ConfigError(f'{base} inherits from itself')
        values = read_values(base)
        references |= referenced_names(Config(values))
        merged |= _merged(_inherited(values, base, references, (*above, base)), values)
    return merged


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What MMEngine makes of a file and its bases."""
    config = Config(base)
    config.merge_from_dict(own, allow_list_keys=False)
    return config.to_dict()


def _diff(before: VAConfig, after: VAConfig) -> list[str]:
    """The differences, without values that were forgotten because nothing needs them any more."""
    try:
        lines = config_diff(before, after)
    except AbawfwError as error:
        raise ConfigError(f'{before.filename} and its bases do not make a whole config: {error}') from error
    forgotten = tuple(f'{key}: ' for key in set(before) - set(after))
    return [line for line in lines if not line.startswith(forgotten)]
