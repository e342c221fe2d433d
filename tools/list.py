"""List the components that configs can name, such as those of `tools/list.py losses`."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence

from mmengine.registry import Registry

from abawfw import registry as registries
from abawfw.apis.cli import run
from abawfw.errors import ConfigError, nearest


def main(argv: Sequence[str] | None = None) -> None:
    """Print every component of abawfw, or those of one group, with the first line of its docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('group', nargs='?', help='models, losses, heads, stores, ... (default: all)')
    group = parser.parse_args(argv).group
    groups = {name.lower(): value for name, value in vars(registries).items() if isinstance(value, Registry)}
    if group is not None and group not in groups:
        raise ConfigError(f"there is no group '{group}': {nearest(group, groups)}")
    for name in [group] if group else groups:
        lines = components(groups[name])
        if lines or group:
            print(name, *lines or ['  (none)'], '', sep='\n')


def components(registry: Registry) -> list[str]:
    """One line per component that abawfw itself registers."""
    registry.import_from_location()
    own = {k: v for k, v in sorted(registry.module_dict.items()) if v.__module__.startswith('abawfw.')}
    width = max(map(len, own), default=0)
    return [f'  {k:{width}}  {(inspect.getdoc(v) or "").partition(chr(10))[0]}' for k, v in own.items()]


if __name__ == '__main__':
    run(main)
