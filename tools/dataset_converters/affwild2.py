#!/usr/bin/env python
"""Import Aff-Wild2's annotations and per-frame feature files."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.datasets.importers.affwild2 import convert_affwild2
from abawfw.errors import counted


def feature(text: str) -> tuple[str, Path]:
    """NAME=DIR of the command line."""
    name, equals, folder = text.partition('=')
    if not equals or not folder or not name.replace('-', '_').isidentifier():
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=DIR')
    return name, Path(folder)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, import, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', help='folder that holds VA_Estimation_Challenge/')
    parser.add_argument('root', help='data set to write (HDF5 layout of RUCAIM3); must not exist or be empty')
    parser.add_argument(
        '--features',
        nargs='+',
        type=feature,
        required=True,
        metavar='NAME=DIR',
        help='VIDEO.npy or VIDEO.csv in DIR',
    )
    parser.add_argument('--test-list', help='names of the test videos, one per line')
    parser.add_argument('--fps', help='CSV of lines video,fps')
    args = parser.parse_args(argv)
    if twice := [name for name, count in Counter(name for name, _ in args.features).items() if count > 1]:
        parser.error(f'--features: {", ".join(twice)} given twice')
    report = convert_affwild2(args.annotations, args.root, dict(args.features), args.test_list, args.fps)
    for note in report.notes:
        print(f'note: {note}')
    for repair in report.repairs:
        print(f'repaired: {repair}')
    for line in report.not_taken:
        print(f'not taken: {line}')
    for partition, videos in report.videos.items():
        print(f'{partition:5} {counted(len(videos), "video"):>11}')
    print(
        f'{counted(len(report.repairs), "repair")}, {len(report.not_taken)} not taken; written: {args.root}'
    )


if __name__ == '__main__':
    run(main)
