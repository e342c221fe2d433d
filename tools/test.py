"""Test runs.

python tools/test.py work_dirs/RUN [work_dirs/RUN ...]
python tools/test.py CONFIG CHECKPOINT
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abawfw.apis.cli import add_computing_options, add_overlap_option, add_override_option, run, waits_for
from abawfw.conventions import TARGETS
from abawfw.devices import check_device
from abawfw.errors import AbawfwError, ConfigError, Interrupted, counted

if TYPE_CHECKING:
    from abawfw.apis.test import TestReport


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Predict, write prediction files, and print one table.')
    parser.add_argument(
        'runs',
        type=Path,
        nargs='+',
        metavar='RUN',
        help='work_dirs of runs; or a config file and one checkpoint for all targets',
    )
    parser.add_argument('--data-root', help='folder of the store, instead of data_root of the config')
    parser.add_argument(
        '--partition',
        nargs='+',
        choices=['train', 'val', 'test'],
        help='default: val and test; train: for a student to learn from, see LoadPredictions',
    )
    parser.add_argument('--target', nargs='+', choices=TARGETS, help='default: all that the model has')
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
        '--intervals',
        action='store_true',
        help='find on val how far a frame of a new video may be off; intervals.alpha of the config: .1',
    )
    add_overlap_option(parser)
    add_computing_options(parser)
    parser.add_argument(
        '--out',
        type=Path,
        help='folder for the files; default: RUN/predictions; of one checkpoint NAME.pth of a run '
        'RUN/predictions_NAME, of one that is alone in its folder predictions/ beside it',
    )
    add_override_option(parser)
    return parser.parse_intermixed_args(argv)


def parse_windows(words: list[str]) -> dict[str, int]:
    """Read ``valence=50 arousal=20`` as overrides of the config."""
    pairs = [word.partition('=') for word in words]
    wrong = [''.join(p) for p in pairs if p[0] not in TARGETS or not p[2].isdecimal()]
    if wrong:
        raise ConfigError(
            f'--window {" ".join(wrong)}: give valence=FRAMES arousal=FRAMES, whole numbers of 0 or above'
        )
    return {f'windows.{name}': int(frames) for name, _, frames in pairs}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 if one of several runs failed."""
    args = parse(argv)
    windows = parse_windows(args.window or [])
    if windows and args.search is not None:
        raise ConfigError('--window and --search: give only one, for a search chooses the window itself')
    check_device(args.device)
    first, *others = args.runs
    if first.is_file() and len(others) == 1:
        one_run(args, windows, first, others[0])
        return 0
    check_runs(args)
    if not others:
        one_run(args, windows, first, None)
        return 0
    rows, failed = [], {}
    for number, place in enumerate(args.runs):
        print(f'{place}:', flush=True)
        try:
            rows += scores_of(place, one_run(args, windows, place, None))
        except (AbawfwError, OSError) as error:
            failed[place] = str(error)
            print('failed, see the end')
        except KeyboardInterrupt as interruption:
            text = str(interruption) or f'interrupted while {place} was tested'
            rest = ' '.join(map(str, args.runs[number:]))
            raise Interrupted(f'{text}; to go on: python tools/test.py {rest}') from None
        print(flush=True)
    from abawfw.series.runs import to_text

    if rows:
        print(to_text(rows), flush=True)
    if failed:
        print(f'{counted(len(failed), "run")} failed:', file=sys.stderr)
        for place, reason in failed.items():
            print(f'  {place}: {reason}', file=sys.stderr)
    return 1 if failed else 0


def check_runs(args: argparse.Namespace) -> None:
    """Refuse, before the first run is tested, what are no runs, and one folder for the files of several.

    Raises:
        ConfigError: see above.
    """
    for place in args.runs:
        if not place.exists():
            raise ConfigError(f'{place}: no such run or config file')
        if not place.is_dir():
            raise ConfigError(
                f'{place}: is no run; give either the work_dirs of runs, or a config file and a checkpoint'
            )
        if args.runs.count(place) > 1:
            raise ConfigError(f'{place}: given twice')
    if args.out and len(args.runs) > 1:
        raise ConfigError(
            f'--out {args.out}: {len(args.runs)} runs would replace the files of one another; without --out '
            'those of each go to RUN/predictions'
        )


def one_run(
    args: argparse.Namespace, windows: dict[str, int], place: Path, checkpoint: Path | None
) -> TestReport:
    """Test a run, or a config file with a checkpoint, and print what came of it."""
    is_run = checkpoint is None
    waits_for(f'testing {place}')
    from abawfw.apis.postprocessing import predictions_of
    from abawfw.config.loading import load_config
    from abawfw.progress import Progress
    from abawfw.results.run import CONFIG

    overrides = dict(args.cfg_options)
    named = {'data_root': args.data_root, 'overlap': args.overlap}
    overrides |= {k: v for k, v in named.items() if v is not None} | windows
    cfg = load_config(place / CONFIG if is_run else place, overrides)
    if windows and 'postprocess' in cfg:
        raise ConfigError('--window: the config smooths otherwise, by postprocess; change it there')
    from abawfw.apis.test import test
    from abawfw.checkpoints import best_checkpoint
    from abawfw.results.report_table import render_table

    targets = args.target or list(cfg.targets)
    if unknown := [t for t in targets if t not in cfg.targets]:
        raise ConfigError(f'--target {" ".join(unknown)}: the model estimates {", ".join(cfg.targets)} only')
    if checkpoint is None:
        checkpoints = {t: best_checkpoint(place, f'ccc_{t}') for t in targets}
    else:
        checkpoints = dict.fromkeys(targets, checkpoint)
    out = args.out or predictions_of(checkpoint or place)
    search = args.search if args.search is None or args.search else ['MeanSmoothing']
    with Progress() as progress:
        how = progress, args.device, args.threads, args.intervals
        report = test(cfg, checkpoints, out, args.partition, search, *how)
    for target, path in checkpoints.items():
        print(f'{target}: {path}')
        print(f'{target}, smoothed: {report.postprocess[target]}')
    for partition, rows in report.rows.items():
        print(f'\n{partition}\n{render_table(rows)}')
    print()
    for target, text in report.intervals.items():
        print(f'{target}, intervals: {text}')
    if search:
        found = {target: pipeline.settings() for target, pipeline in report.postprocess.items()}
        if args.out is None and is_run:
            print('tools/infer.py applies what was found, too')
        print(f'to keep it in a config:\npostprocess = {found}\n')
    for note in report.notes:
        print(f'note: {note}')
    print(f'{counted(len(report.files), "file")} written to {out}')
    if checkpoint is not None and out == checkpoint.with_name(f'predictions_{checkpoint.stem}'):
        print(f'predictions of {checkpoint.parent} itself, if it has any, are as they were')
    return report


def scores_of(place: Path, report: TestReport) -> list[dict[str, Any]]:
    """A row per partition with labels: CCC of each target, as the model gave it and smoothed."""
    from abawfw.results.report_table import COUNTED

    found = []
    for partition, rows in report.rows.items():
        row: dict[str, Any] = {'run': str(place), 'partition': partition}
        for stages, end in ((('raw',), ''), (COUNTED, '_smoothed')):
            # where post-processing was tuned the cross-validated row comes last, and counts
            ccc = {r['target']: r['ccc'] for r in rows if r['stage'] in stages}
            row |= {f'ccc_{target}{end}': value for target, value in ccc.items()}
        found.append(row)
    return found


if __name__ == '__main__':
    run(main)
