"""Train and test a run per combination of values, and print which is best on val."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from abawfw.apis.cli import run, waits_for
from abawfw.errors import ConfigError, DataError, counted
from abawfw.series.run_options import add_run_options, build_launcher, build_series, failure_text

if TYPE_CHECKING:
    from abawfw.series.runs import Row, Series


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Runs that are done are skipped: the same command goes on after a stop.'
    )
    add_run_options(parser, 'sweep')
    parser.add_argument(
        'space', type=Path, help='Python file: space = {dotted key: [values] or scipy.stats distribution}'
    )
    parser.add_argument(
        '--trials', type=int, metavar='N', help='draw N combinations; default: the whole grid'
    )
    parser.add_argument(
        '--seed', type=int, help='of the draws, default: 0 (the runs have the one of the config)'
    )
    parser.add_argument(
        '--sampler',
        choices=['grid', 'random', 'tpe'],
        help='tpe: each trial learns from those before it; default: random with --trials, or the grid',
    )
    parser.add_argument(
        '--pruner',
        choices=['median', 'asha'],
        help='end trials whose CCC lags behind that of others at the same epoch',
    )
    args = parser.parse_args(argv)
    waits_for(f'checking {args.config}')
    if args.trials is None and (args.pruner or args.sampler not in (None, 'grid')):
        raise ConfigError('--sampler and --pruner learn from trial to trial: say how many, --trials N')
    if args.trials is None and args.seed is not None:
        raise ConfigError('--seed is that of draws, and the whole grid has none: say how many, --trials N')
    if args.trials is not None and args.sampler == 'grid':
        raise ConfigError('--sampler grid runs the whole grid: omit --trials')
    from abawfw.apis.sweep import CSV, search, sweep
    from abawfw.series.runs import READING, to_text
    from abawfw.series.sweep_space import draw, grid, read_space

    space, seed = read_space(args.space), args.seed or 0
    series = build_series(args, 'sweep', Path(__file__).resolve().parent)
    searched = args.sampler == 'tpe' or args.pruner is not None
    if searched:
        rule = args.sampler or 'random', args.pruner
        found = search(series, space, args.trials, seed, build_launcher(args), _say, *rule)
    else:
        combinations = grid(space) if args.trials is None else draw(space, args.trials, seed)
        found = sweep(series, combinations, build_launcher(args), _say)
    print(*map(failure_text, found.failures), sep='')
    if found.rows:
        print(f'{READING}; highest raw mean first\n{to_text(found.rows)}\n')
        print(_worth(series, found.rows))
        print(f'the same with all digits: {series.out / CSV}')
    if found.failures:
        more = 'tries others in their place' if searched else 'tries them again'
        print(f'{counted(len(found.failures), "run")} failed; the same command {more}')
    return 1 if found.failures else 0


def _worth(series: Series, rows: list[Row]) -> str:
    """What the best score of many is worth."""
    from abawfw.apis.sweep import choice
    from abawfw.results.report_table import EPOCHS_TOO

    best = f'the best of {counted(len(rows), "run")} has {rows[0]["ccc"]:.4f} raw on the videos that chose it'
    try:
        found = choice(series, rows)
    except DataError as error:
        return f'{best}; on others it is unknown: {error}'
    if found is None:
        return f'{best}; on others it is unknown, since val has only one'
    return f'{best}, and {found.ccc:.4f} on others, cross-validated over {found.unit}: {EPOCHS_TOO}'


def _say(line: str) -> None:
    """What happens, at once, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    run(main)
