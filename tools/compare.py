"""Is run B better than run A? Paired bootstrap over the videos that both were tested on."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run, waits_for


def main(argv: list[str] | None = None) -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('baseline', type=Path, metavar='RUN_A', help='work_dir of a tested run, the baseline')
    parser.add_argument(
        'runs', type=Path, nargs='+', metavar='RUN_B', help='those that are compared with it, each on its own'
    )
    parser.add_argument(
        '--stage',
        choices=['raw', 'clipped', 'smoothed'],
        default='smoothed',
        help='which predictions (default: smoothed, those of a submission)',
    )
    args = parser.parse_args(argv)
    waits_for(f'comparing with {args.baseline}', 'mmengine')
    from abawfw.apis.compare import compare, comparison_text

    print(comparison_text(compare([args.baseline, *args.runs], args.stage)))


if __name__ == '__main__':
    run(main)
