"""Write the page of a tested run, of several runs compared, or of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run, waits_for
from abawfw.errors import megabytes


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
    waits_for(f'writing the page of {", ".join(map(str, args.runs or [args.data]))}', 'mmengine')
    from abawfw.apis.report import write_comparison, write_data_report, write_run_report
    from abawfw.progress import Progress

    with Progress() as progress:
        if len(args.runs) > 1:
            out = write_comparison(args.runs, args.out, progress)
        elif args.runs:
            out = write_run_report(args.runs[0], args.out, progress)
        else:
            out = write_data_report(args.data, args.out, progress)
    print(f'written: {out} ({megabytes(out.stat().st_size)})')


if __name__ == '__main__':
    run(main)
