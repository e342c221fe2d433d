"""Command line options that all tools for many runs have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command line says what it waits for before it imports MMEngine
    from abawfw.series.launchers.base import Failure, Launcher
    from abawfw.series.runs import Series

ENGINES = {'local': 'LocalLauncher', 'slurm': 'SlurmLauncher', 'ray': 'RayLauncher'}


def add_run_options(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add the options; ``kind`` ends the name of the default folder, work_dirs/NAME_KIND."""
    parser.add_argument('config', type=Path, help='config file')
    add_engine_options(parser)
    parser.add_argument('--out', type=Path, help=f'folder of the runs; default: work_dirs/NAME_{kind}')
    parser.add_argument('--data-root', help='folder of the store, instead of data_root of the config')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='K=V', help='overrides of all runs')


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add what says where runs are started, and how many at a time."""
    parser.add_argument('--engine', choices=ENGINES, default='local', help='where runs are started')
    parser.add_argument(
        '--jobs', type=int, metavar='N', help='runs at a time; local: one per GPU if not given, or one'
    )
    parser.add_argument(
        '--engine-options',
        nargs='+',
        default=[],
        metavar='K=V',
        help='slurm: partition, time (minutes), gpus_per_node, mem, ...; ray: cpus, gpus of a run',
    )


def build_launcher(args: argparse.Namespace) -> Launcher:
    """The launcher that the options name.

    Raises:
        ConfigError: it has no such option or value.
    """
    from abawfw.components import construct
    from abawfw.config.overrides import parse_words
    from abawfw.registry import LAUNCHERS

    component = LAUNCHERS.get(ENGINES[args.engine])
    place = f'--engine-options: the engine {args.engine}'
    launcher: Launcher = construct(component, parse_words(args.engine_options), place, jobs=args.jobs)
    return launcher


def build_series(args: argparse.Namespace, kind: str, tools: Path) -> Series:
    """The series of runs that the options describe; ``kind`` as in ``add_run_options``."""
    from abawfw.series.runs import Series

    out = args.out or Path('work_dirs') / f'{args.config.stem}_{kind}'
    return Series(args.config, out, tools, args.data_root, tuple(args.cfg_options))


def failure_text(failure: Failure) -> str:
    """The report of a run that failed: why, and the end of its log."""
    tail = ''.join(f'  {line}\n' for line in failure.tail.splitlines())
    return f'\n{failure.job.name} {failure.reason}; the end of {failure.job.log}:\n{tail}'
