"""Print a config with inheritance, overrides and references carried out, or how another differs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from abawfw.apis.cli import add_override_option, run
from abawfw.config.diff import config_diff
from abawfw.config.loading import load_config, resolve


def main(argv: Sequence[str] | None = None) -> None:
    """Print the config as Python, or one line per value in which another differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('--diff', type=Path, metavar='OTHER', help='print only what differs: CONFIG -> OTHER')
    add_override_option(parser, 'overrides of CONFIG')
    args = parser.parse_args(argv)
    config = load_config(args.config, args.cfg_options)
    if args.diff:
        print(*config_diff(config, load_config(args.diff)) or ['no difference'], sep='\n')
    else:
        print(resolve(config).pretty_text, end='')


if __name__ == '__main__':
    run(main)
