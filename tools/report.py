"""Write the page of a tested run, of several runs compared, or of a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.apis.data_report import write_data_report
from abawfw.apis.report import write_run_report
from abawfw.apis.report_comparison import write_comparison


def main(argv: list[str] | None = None) -> None:
    """Read the arguments and write."""
    parser = argparse.ArgumentParser(
        description='Write one HTML page that needs no network and no other file.'
    )
    parser.add_argument(
        'runs',
        type=Path,
        nargs='*',
        metavar='RUN',
        help='work_dir of a tested run; of several, the first is what the others are compared with',
    )
    parser.add_argument('--data', type=Path, metavar='STORE', help='folder of a store, instead of a run')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE.html',
        help='page to write; default: report.html in RUN or STORE, of several runs comparison.html beside '
        'the first',
    )
    args = parser.parse_args(argv)
    if bool(args.runs) == (args.data is not None):
        parser.error('name one of both: RUN, or --data STORE')
    if len(args.runs) > 1:
        out = write_comparison(args.runs, args.out)
    elif args.runs:
        out = write_run_report(args.runs[0], args.out)
    else:
        out = write_data_report(args.data, args.out, _progress)
        if sys.stderr.isatty():
            sys.stderr.write('\r\033[K')
    print(f'written: {out} ({out.stat().st_size / 1e6:.1f} MB)')


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f'\r\033[K{done / total:.0%}')


if __name__ == '__main__':
    run(main)
