"""Convert a checkpoint of another system: weights to OUT.pth, and OUT.py, the config to use it with."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def main(argv: list[str] | None = None) -> int:
    """Read the arguments and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--system', required=True, choices=['rucaim3'], help='whose checkpoint it is')
    parser.add_argument('source', type=Path, metavar='SRC_DIR', help='folder with train_opt.conf')
    parser.add_argument('prefix', metavar='PREFIX', help='of the file names: 12 for 12_net_seq.pth')
    parser.add_argument('out', type=Path, metavar='OUT.pth')
    args = parser.parse_args(argv)
    from abawfw.apis.convert import convert_rucaim3_checkpoint

    for line in convert_rucaim3_checkpoint(args.source, args.prefix, args.out, CONFIGS / 'rucaim3'):
        print(line)
    print(f'next: python tools/test.py {args.out.with_suffix(".py")} {args.out} --data-root DIR')
    return 0


if __name__ == '__main__':
    run(main)
