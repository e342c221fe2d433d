"""Draw a run for a paper: curves of some validation videos, and how training went."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.evaluation.tested_run import TestedRun


def main(argv: list[str] | None = None) -> int:
    """Read the arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('run', type=Path, metavar='RUN', help='work_dir of a tested run')
    parser.add_argument('--video', nargs='+', help='which videos; default: the longest three')
    parser.add_argument(
        '--keys',
        nargs='+',
        metavar='KEY',
        help='columns of metrics.csv to draw over the epochs; default: the loss, and the CCC of the targets',
    )
    parser.add_argument('--out', type=Path, help='folder for the pictures; default: the run')
    args = parser.parse_args(argv)
    tested = TestedRun(args.run)
    from abawfw.visualization.curves import plot_training, plot_videos

    out = args.out or args.run
    out.mkdir(parents=True, exist_ok=True)
    plot_videos(tested, out / 'curves.png', args.video)
    plot_training(tested, out / 'training.png', args.keys)
    print(f'written: {out / "curves.png"}, {out / "training.png"}')
    return 0


if __name__ == '__main__':
    run(main)
