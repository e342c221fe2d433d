"""Test a run: python tools/test.py work_dirs/RUN, or python tools/test.py CONFIG CHECKPOINT."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.apis.overrides import Overrides
from abawfw.config import load_config
from abawfw.errors import ConfigError


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Predict, write prediction files, and print one table.')
    parser.add_argument('run', type=Path, metavar='RUN|CONFIG', help='work_dir of a run, or a config file')
    parser.add_argument(
        'checkpoint', type=Path, nargs='?', help='with a config file: one checkpoint for all targets'
    )
    parser.add_argument('--data-root', help='folder of the store, instead of data_root of the config')
    parser.add_argument('--partition', nargs='+', choices=['val', 'test'], help='default: val and test')
    parser.add_argument(
        '--target', nargs='+', choices=['valence', 'arousal'], help='default: all that the model has'
    )
    parser.add_argument(
        '--window', nargs='+', metavar='TARGET=FRAMES', help='one-sided window of the mean that smooths'
    )
    parser.add_argument(
        '--search',
        nargs='*',
        metavar='COMPONENT',
        help='choose post-processing on val, among the grids of these components; default: MeanSmoothing',
    )
    parser.add_argument(
        '--out', type=Path, help='folder for the files; default: predictions/ beside the checkpoint'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=Overrides, default={}, metavar='K=V', help='overrides'
    )
    return parser.parse_args(argv)


def parse_windows(words: list[str]) -> dict[str, int]:
    """Read ``valence=50 arousal=20`` as overrides of the config."""
    pairs = [word.partition('=') for word in words]
    wrong = [''.join(p) for p in pairs if p[0] not in ('valence', 'arousal') or not p[2].isdecimal()]
    if wrong:
        raise ConfigError(f'--window {" ".join(wrong)}: give valence=FRAMES arousal=FRAMES')
    return {f'windows.{name}': int(frames) for name, _, frames in pairs}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse(argv)
    windows = parse_windows(args.window or [])
    if windows and args.search is not None:
        raise ConfigError('--window and --search: give only one, for a search chooses the window itself')
    is_run = args.run.is_dir()
    if not args.run.exists():
        raise ConfigError(f'{args.run}: no such run or config file')
    if is_run == (args.checkpoint is not None):
        raise ConfigError('give either the work_dir of a run, or a config file and a checkpoint')
    overrides = dict(args.cfg_options) | ({'data_root': args.data_root} if args.data_root else {}) | windows
    cfg = load_config(args.run / 'config.py' if is_run else args.run, overrides)
    if windows and 'postprocess' in cfg:
        raise ConfigError('--window: the config smooths otherwise, by postprocess; change it there')
    from abawfw.apis.test import test
    from abawfw.checkpoints import best_checkpoint
    from abawfw.evaluation.report_table import render_table

    targets = args.target or list(cfg.targets)
    if unknown := [t for t in targets if t not in cfg.targets]:
        raise ConfigError(f'--target {" ".join(unknown)}: the model estimates {", ".join(cfg.targets)} only')
    if is_run:
        checkpoints = {t: best_checkpoint(args.run, f'ccc_{t}') for t in targets}
    else:
        checkpoints = dict.fromkeys(targets, args.checkpoint)
    out = args.out or (args.run if is_run else args.checkpoint.parent) / 'predictions'
    search = args.search if args.search is None or args.search else ['MeanSmoothing']
    report = test(cfg, checkpoints, out, args.partition, search)
    for target, checkpoint in checkpoints.items():
        print(f'{target}: {checkpoint}')
        print(f'{target}, smoothed: {report.postprocess[target]}')
    for partition, rows in report.rows.items():
        print(f'\n{partition}\n{render_table(rows)}')
    print()
    if search:
        found = {target: pipeline.settings() for target, pipeline in report.postprocess.items()}
        if args.out is None:
            print('tools/infer.py applies what was found, too')
        print(f'to keep it in a config:\npostprocess = {found}\n')
    for note in report.notes:
        print(f'note: {note}')
    print(f'{len(report.files)} files written to {out}')
    return 0


if __name__ == '__main__':
    run(main)
