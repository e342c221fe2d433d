"""Write the page of a tested run: python tools/report.py work_dirs/RUN."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.apis.report import write_run_report


def main(argv: list[str] | None = None) -> None:
    """Read the arguments and write."""
    parser = argparse.ArgumentParser(
        description='Write one HTML page that needs no network and no other file.'
    )
    parser.add_argument('run', type=Path, metavar='RUN', help='work_dir of a tested run')
    parser.add_argument(
        '--out', type=Path, metavar='FILE.html', help='page to write; default: RUN/report.html'
    )
    args = parser.parse_args(argv)
    out = write_run_report(args.run, args.out)
    print(f'written: {out} ({out.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    run(main)
