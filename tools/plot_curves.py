"""Draw a run for a paper: curves of some validation videos, and how training went."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.files import check_writable
from abawfw.results.run import Run


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
    parser.add_argument('--out', type=Path, help='folder for the images; default: the run')
    parser.add_argument(
        '--format', choices=('png', 'pdf', 'svg'), default='png', help='of the images; default: png'
    )
    args = parser.parse_args(argv)
    tested = Run(args.run).require_val()
    from abawfw.visualization.curves import DPI, draw_training, draw_videos
    from abawfw.visualization.va_figure import save_figure

    figures = {f'curves.{args.format}': draw_videos(tested, args.video)}
    if tested.epochs or args.keys:
        figures[f'training.{args.format}'] = draw_training(tested, args.keys)
    else:
        print(f'note: {args.run} knows no epochs of its training: curves alone are drawn')
    paths = [(args.out or args.run) / name for name in figures]
    for path in paths:
        check_writable(path, path.name, '--out')
    for path, figure in zip(paths, figures.values(), strict=True):
        save_figure(figure, path, DPI)
    for doubt in tested.doubts:
        print(f'note: {doubt}')
    print(f'written: {", ".join(map(str, paths))}')
    return 0


if __name__ == '__main__':
    run(main, 'every file that is there is whole; the same command writes all of them anew')
