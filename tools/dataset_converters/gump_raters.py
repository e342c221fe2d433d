#!/usr/bin/env python
"""Write the ratings of the film Forrest Gump as a file per rater and clip, for tools/fuse_raters.py."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from abawfw.apis.cli import run
from abawfw.datasets.importers.gump_raters import convert_gump_raters
from abawfw.errors import counted


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, convert, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='+', help='HDF5 of clips and raters, such as val_raters.h5')
    parser.add_argument('root', help='folder to write; must not exist or be empty')
    args = parser.parse_args(argv)
    report = convert_gump_raters(args.files, args.root)
    observers = f'{counted(len(report.raters), "observer")}: {", ".join(report.raters)}'
    print(f'{counted(len(report.clips), "clip")}, {observers}')
    if report.omitted:
        print(f'omitted, for they did not see the film: {", ".join(report.omitted)}')
    print(f'written: {args.root}')


if __name__ == '__main__':
    run(main)
