"""Draw a run: curves of some validation videos, and how training went."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.config import load_config


def main(argv: list[str] | None = None) -> int:
    """Read the arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('run', type=Path, metavar='RUN', help='work_dir of a tested run')
    parser.add_argument('--video', nargs='+', help='which videos; default: the longest three')
    parser.add_argument('--out', type=Path, help='folder for the pictures; default: the run')
    args = parser.parse_args(argv)
    from abawfw.visualization.curves import plot_training, plot_videos

    out = args.out or args.run
    out.mkdir(parents=True, exist_ok=True)
    targets = list(load_config(args.run / 'config.py').targets)
    plot_videos(args.run, targets, out / 'curves.png', args.video)
    plot_training(args.run, out / 'training.png')
    print(f'written: {out / "curves.png"}, {out / "training.png"}')
    return 0


if __name__ == '__main__':
    run(main)
