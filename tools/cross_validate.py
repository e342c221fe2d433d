"""Train and test a run per fold, and print what they reach on average."""

from __future__ import annotations

import argparse
import shlex
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
    add_run_options(parser, 'cv')
    parser.add_argument('--folds', nargs='+', type=int, default=[0, 1, 2, 3, 4, 5], help='default: 0 to 5')
    parser.add_argument('--seeds', nargs='+', type=int, default=[], help="default: the config's own")
    args = parser.parse_args(argv)
    waits_for(f'checking {args.config}')
    from abawfw.apis.cross_validate import cross_validate
    from abawfw.results.run import CROSS_VALIDATION
    from abawfw.series.runs import READING, to_text

    series = build_series(args, 'cv', Path(__file__).resolve().parent)
    launcher = build_launcher(args)
    found = cross_validate(series, args.folds, launcher, lambda line: print(line, flush=True), args.seeds)
    print(*map(failure_text, found.failures), sep='')
    if found.rows:
        print(f'{READING}; standard deviation over the runs, n - 1\n{to_text(found.rows)}\n')
        print(f'the same with all digits: {series.out / CROSS_VALIDATION}')
    if found.failures:
        print(f'{counted(len(found.failures), "run")} failed; the same command tries them again')
        return 1
    targets = [name.removeprefix('ccc_') for name in ('ccc_valence', 'ccc_arousal') if name in found.rows[0]]
    only = f' --target {targets[0]}' if len(targets) == 1 else ''
    runs, submission = (shlex.quote(str(path)) for path in (series.out, Path('submit') / series.out.name))
    print(f'next: python tools/ensemble.py {runs}{only} --out {submission}')
    return 0


if __name__ == '__main__':
    run(main)
