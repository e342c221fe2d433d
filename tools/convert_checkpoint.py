"""Convert a checkpoint of another system: weights to OUT.pth, and OUT.py, the config to use it with.

python tools/convert_checkpoint.py --system rucaim3 SRC_DIR PREFIX OUT.pth
python tools/convert_checkpoint.py --system tagf model_state_dict.pth OUT.pth --config CONFIG
"""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import add_override_option, run

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SYSTEMS = ('rucaim3', 'tagf', 'lfan', 'can', 'rcma', 'grjca', 'mamba_va', 'ras')


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--system', required=True, choices=SYSTEMS, help='whose checkpoint it is')
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help='rucaim3: folder with train_opt.conf, what the file names begin with (12 for 12_net_seq.pth), '
        'OUT.pth; all others: state dict, OUT.pth',
    )
    parser.add_argument('--config', type=Path, help='config of the same system (not for rucaim3)')
    add_override_option(parser)
    args = parser.parse_args(argv)
    rucaim3 = args.system == 'rucaim3'
    if len(args.paths) != (3 if rucaim3 else 2):
        parser.error(
            f'--system {args.system} takes {"SRC_DIR PREFIX OUT.pth" if rucaim3 else "SRC.pth OUT.pth"}'
        )
    if rucaim3 and (args.config or args.cfg_options):
        parser.error('--system rucaim3 writes its config from train_opt.conf: omit --config')
    one_target = '' if args.system in ('mamba_va', 'ras') else ', for one target'
    if not rucaim3 and not args.config:
        parser.error(f'--system {args.system} needs --config: a config of this system' + one_target)
    return args


def main(argv: list[str] | None = None) -> int:
    """Read the arguments and convert."""
    args = parse(argv)
    from abawfw.apis.convert import convert_rucaim3_checkpoint, convert_state_dict

    source, *prefix, last = args.paths
    out = Path(last)
    if args.system == 'rucaim3':
        lines = convert_rucaim3_checkpoint(Path(source), prefix[0], out, CONFIGS / 'rucaim3')
    else:
        lines = convert_state_dict(Path(source), args.system, out, args.config, dict(args.cfg_options))
    for line in lines:
        print(line)
    print(f'next: python tools/test.py {out.with_suffix(".py")} {out} --data-root DIR')
    return 0


if __name__ == '__main__':
    run(main, 'every file that is there is whole; the same command writes all of them anew')
