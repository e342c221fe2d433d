"""Train and test several configs under one protocol, and compare them: one table, one page.

PROTOCOL.py is a config of its own: data_root = 'data/x', configs = ['a.py', 'b.py'], seeds = [1, 2, 3],
and maybe folds = [0, 1], epochs = 20, seconds = 600, options = ['batch_size=8'], stage = 'raw'. In place of
'a.py' may stand dict(config='a.py', name='overlapping', options=['overlap=2']); what differs in tests alone,
as that does, is trained once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from abawfw.apis.cli import run, waits_for
from abawfw.errors import counted
from abawfw.series.run_options import add_engine_options, build_launcher, failure_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Runs that are done are skipped: the same command goes on after a stop.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('protocol', type=Path, metavar='PROTOCOL', help='file of the protocol')
    add_engine_options(parser)
    parser.add_argument('--out', type=Path, help='folder of the runs; default: work_dirs/NAME')
    args = parser.parse_args(argv)
    waits_for(f'checking {args.protocol}')
    from abawfw.apis.compare_configs import CSV, PAGE, compare_configs, protocol_text, read_protocol

    protocol = read_protocol(args.protocol)
    out = args.out or Path('work_dirs') / args.protocol.stem
    tools = Path(__file__).resolve().parent
    found = compare_configs(protocol, out, tools, build_launcher(args), lambda line: print(line, flush=True))
    print(*map(failure_text, found.failures), sep='')
    if found.comparison is None:
        print(f'{counted(len(found.failures), "run")} failed; the same command tries them again')
        return 1
    print(f'{protocol_text(found.comparison, found.rows)}\n')
    print(f'the same with all digits: {out / CSV}; learning curves and videos: {out / PAGE}')
    return 0


if __name__ == '__main__':
    run(main)
