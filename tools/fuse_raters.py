"""Measure how far raters agree, find who is late, and make one label per frame of their ratings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from abawfw.apis.cli import run, waits_for
from abawfw.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> None:
    """Fuse, and say what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="FUSED: labels in Aff-Wild2's layout (Train_Set, Validation_Set), agreement.csv, raters.html.",
    )
    parser.add_argument('annotations', type=Path, help='folder of VIDEO.RATER.PASS.csv (docs/labels.md)')
    parser.add_argument('--out', type=Path, required=True, metavar='FUSED', help='folder to write')
    parser.add_argument(
        '--videos', type=Path, help='folder of the videos, whose frames get labels (default: ANNOTATIONS)'
    )
    parser.add_argument('--store', type=Path, help='a store of these videos, instead of them')
    parser.add_argument('--fps', type=float, help='frames per second, where neither says')
    parser.add_argument('--frames', type=int, help='frames of every video, with --fps')
    parser.add_argument(
        '--fusion', default='RaterMean', help='rule, as tools/list.py lists them (default: RaterMean)'
    )
    parser.add_argument(
        '--max-delay',
        type=float,
        default=5.0,
        metavar='SECONDS',
        help='largest delay of a rater that is looked for (default: 5)',
    )
    args = parser.parse_args(argv)
    waits_for(f'reading {args.annotations}', 'mmengine')
    from abawfw.apis.fuse_raters import PAGE, TABLE, fuse_raters, raters_text
    from abawfw.apis.rater_frames import frames_at_rate, frames_of_store, frames_of_videos, has_videos
    from abawfw.datasets.importers.rater_files import read_rater_files
    from abawfw.progress import Progress

    if args.videos and args.store:
        raise ConfigError('name one of both: --videos or --store')
    if args.store and args.frames:
        raise ConfigError(f'{args.store} says how many frames its videos have: omit --frames')
    if args.store:
        find = frames_of_store(args.store, args.fps)
    elif args.videos or has_videos(args.annotations):
        videos = args.videos or args.annotations
        if args.fps or args.frames:
            raise ConfigError(f'the videos in {videos} say when their frames are: omit --fps and --frames')
        find = frames_of_videos(videos)
    elif args.fps and args.frames:
        find = frames_at_rate(args.fps, args.frames)
    else:
        read_rater_files(args.annotations)  # another folder, named by mistake, is reported first
        raise ConfigError(
            f'{args.annotations}: when are the frames of these videos? Name their folder with --videos, a '
            'store of them with --store, or give --fps and --frames'
        )
    with Progress() as progress:
        report = fuse_raters(args.annotations, args.out, find, args.fusion, args.max_delay, progress)
    print(raters_text(report))
    print(f'written: {args.out}, {TABLE} and {PAGE} in it')


if __name__ == '__main__':
    run(main)
