#!/usr/bin/env python
"""Write a small data set that behaves like Aff-Wild2, to try everything on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from abawfw.apis.cli import run
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.demo.trials import make_demo_trials

# layout: videos of train, val and test, and their length relative to Aff-Wild2
DEFAULTS = {'rucaim3': ((16, 6, 4), 0.25), 'trials': ((12, 4, 3), 0.05)}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, write, and say what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('root', help='data set to write; must not exist or be empty')
    parser.add_argument(
        '--layout',
        choices=tuple(DEFAULTS),
        default='rucaim3',
        help='rucaim3: HDF5, vectors only; trials: a folder of .npy files per trial, with images and audio',
    )
    parser.add_argument('--seed', type=int, default=0, help='same seed, same data')
    parser.add_argument(
        '--videos',
        type=int,
        nargs=3,
        default=argparse.SUPPRESS,
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='number of videos (default: 16 6 4; of layout trials 12 4 3)',
    )
    parser.add_argument(
        '--scale',
        type=float,
        default=argparse.SUPPRESS,
        help='length of the videos relative to Aff-Wild2 (default: 0.25; of layout trials 0.05)',
    )
    parser.add_argument(
        '--missing',
        type=float,
        default=argparse.SUPPRESS,
        help='layout trials: how many more faces are missing than in Aff-Wild2 (default: 1, as many)',
    )
    args = parser.parse_args(argv)
    videos, scale = DEFAULTS[args.layout]
    videos, scale = getattr(args, 'videos', videos), getattr(args, 'scale', scale)
    if args.layout == 'trials':
        summary = make_demo_trials(args.root, args.seed, videos, scale, getattr(args, 'missing', 1.0))
    elif hasattr(args, 'missing'):
        parser.error('--missing needs --layout trials')
    else:
        summary = make_demo_data(args.root, args.seed, videos, scale)
    for partition, count in summary.videos.items():
        print(f'{partition:5} {count:4d} videos {summary.frames[partition]:8,d} frames')
    print(f'constant: {summary.constant}; a run without labels: {", ".join(summary.unlabelled_runs)}')
    print(f'written: {args.root}')


if __name__ == '__main__':
    run(main)
