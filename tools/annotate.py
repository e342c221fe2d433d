"""Write the page on which people rate valence and arousal of videos, in a browser and without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run


def main(argv: list[str] | None = None) -> None:
    """Read the arguments and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'videos', type=Path, nargs='+', metavar='VIDEO', help='a video, or a folder of videos'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('labels.html'),
        metavar='FILE.html',
        help='page to write, which finds the videos where they are now; default: labels.html',
    )
    args = parser.parse_args(argv)
    from abawfw.apis.annotate import write_annotation_page

    out = write_annotation_page(args.videos, args.out, print)
    print(f'written: {out}; open it in a browser')


if __name__ == '__main__':
    run(main)
