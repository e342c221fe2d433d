"""Train a run: python tools/train.py configs/rucaim3/transformer_affwild2.py."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from abawfw.apis.cli import add_computing_options, add_override_option, run, waits_for
from abawfw.errors import counted


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Train a run and write everything about it into its work_dir.'
    )
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('--data-root', help='folder of the store, instead of data_root of the config')
    parser.add_argument(
        '--features', nargs='+', help='features, in the order of concatenation, instead of the config'
    )
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/NAME of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const=True,
        default=False,
        metavar='CHECKPOINT',
        help='continue the run in the work_dir, or from this epoch_*.pth',
    )
    parser.add_argument('--seed', type=int, help='seed of everything random, instead of the config')
    parser.add_argument(
        '--amp', nargs='?', const='bf16', choices=['bf16', 'fp16'], help='mixed precision (bf16 if not named)'
    )
    add_computing_options(parser)
    parser.add_argument('--launcher', default='none', choices=['none', 'pytorch', 'slurm', 'mpi'])
    parser.add_argument('--check-only', action='store_true', help='check config and data, train nothing')
    add_override_option(parser)
    # given by some launchers
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse(argv)
    waits_for(f'checking {args.config}')
    from abawfw.apis.check import check_config
    from abawfw.config.loading import load_config
    from abawfw.devices import computing_on

    overrides = dict(args.cfg_options)
    named = {'data_root': args.data_root, 'features': args.features, 'seed': args.seed}
    overrides |= {k: v for k, v in named.items() if v is not None}
    if args.amp:
        overrides['optim_wrapper.precision'] = args.amp
    cfg = load_config(args.config, overrides)
    if args.check_only:
        with computing_on(args.device):
            check_config(cfg, training=True)
        print(f'{args.config}: no problem found')
        return 0
    from abawfw.apis.train import default_work_dir, is_main_process, train

    work_dir = args.work_dir or default_work_dir(args.config)
    resume = Path(args.resume) if isinstance(args.resume, str) else args.resume
    summary = train(cfg, work_dir, resume, args.launcher, _say, args.device, args.threads)
    if is_main_process():
        best = ', '.join(
            f'{key.removeprefix("ccc_")} {found["score"]:.4f} ({"epoch " * (key == "ccc")}{found["epoch"]})'
            for key, found in summary['best'].items()
        )
        print(f'{summary["status"]} after {counted(summary["epochs"]["done"], "epoch")}; best on val: {best}')
        print(f'everything is in {work_dir}; next: python tools/test.py {shlex.quote(str(work_dir))}')
    return 0


def _say(text: str) -> None:
    """What is being done, at once, also into a pipe."""
    print(text, flush=True)


if __name__ == '__main__':
    run(main)
