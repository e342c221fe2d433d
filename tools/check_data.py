"""Show everything that is wrong with the data of a config or of a store, in one table."""

from __future__ import annotations

import argparse
from functools import partial

from abawfw.apis.check_data import check_data
from abawfw.apis.cli import run
from abawfw.errors import Interrupted, counted
from abawfw.progress import Progress

COLUMNS = ('severity', 'check', 'partition', 'video_id', 'feature')
TITLES = ('severity', 'check', 'partition', 'video', 'feature')


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 if there is an error in it, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('target', metavar='CONFIG | STORE', help='a config (.py) or the folder of a store')
    args = parser.parse_args(argv)
    try:
        with Progress() as progress:
            report = check_data(args.target, partial(progress, 'checking videos'))
    except KeyboardInterrupt:
        raise Interrupted('interrupted: nothing is found yet, and nothing was changed') from None
    rows = [[getattr(problem, name) or '-' for name in COLUMNS] for problem in report.problems]
    if rows:
        widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)]
        for row, text in zip([TITLES, *rows], ['found', *(p.text for p in report.problems)], strict=True):
            print(
                '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), text, sep='  '
            )
        print()
    frames = sum(video.num_frames for video in report.videos)
    print(
        f'{report.root}: {report.groups}, {counted(frames, "frame")}, features: {", ".join(report.features)}'
    )
    print(report.counts())
    return 1 if report.count('error') else 0


if __name__ == '__main__':
    run(main)
