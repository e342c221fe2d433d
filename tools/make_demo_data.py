#!/usr/bin/env python
"""Write a small data set that behaves like Aff-Wild2, to try everything on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from abawfw.apis.cli import run
from abawfw.datasets.demo import make_demo_data


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, write, and say what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('root', help='data set to write (HDF5 layout of RUCAIM3); must not exist or be empty')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same data')
    parser.add_argument(
        '--videos',
        type=int,
        nargs=3,
        default=(16, 6, 4),
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='number of videos',
    )
    parser.add_argument(
        '--scale', type=float, default=0.25, help='length of the videos relative to Aff-Wild2'
    )
    args = parser.parse_args(argv)
    summary = make_demo_data(args.root, args.seed, args.videos, args.scale)
    for partition, videos in summary.videos.items():
        print(f'{partition:5} {videos:4d} videos {summary.frames[partition]:8,d} frames')
    print(f'constant: {summary.constant}; a run without labels: {", ".join(summary.unlabelled_runs)}')
    print(f'written: {args.root}')


if __name__ == '__main__':
    run(main)
