"""Train and test a run per combination of values, and print which is best on val."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from abawfw.apis.cli import run, waits_for
from abawfw.errors import counted
from abawfw.series.run_options import add_run_options, build_launcher, build_series, failure_text


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
        '--seed', type=int, default=0, help='of the draws (the runs have the one of the config)'
    )
    args = parser.parse_args(argv)
    waits_for(f'checking {args.config}')
    from abawfw.apis.sweep import CSV, sweep
    from abawfw.series.runs import READING, to_text
    from abawfw.series.sweep_space import draw, grid, read_space

    space = read_space(args.space)
    combinations = grid(space) if args.trials is None else draw(space, args.trials, args.seed)
    series = build_series(args, 'sweep', Path(__file__).resolve().parent)
    found = sweep(series, combinations, build_launcher(args), lambda line: print(line, flush=True))
    print(*map(failure_text, found.failures), sep='')
    if found.rows:
        print(f'{READING}; highest raw mean first\n{to_text(found.rows)}\n')
        print(f'the same with all digits: {series.out / CSV}')
    if found.failures:
        of = f'{len(found.failures)} of {counted(len(combinations), "run")}'
        print(f'{of} failed; the same command tries them again')
    return 1 if found.failures else 0


if __name__ == '__main__':
    run(main)
