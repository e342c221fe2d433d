"""Average the predictions of several runs and write a submission."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from abawfw.apis.cli import run, waits_for
from abawfw.conventions import TARGETS
from abawfw.errors import ConfigError, DataError, counted
from abawfw.results.report_table import EPOCHS_TOO
from abawfw.submission.contribution import Contribution
from abawfw.submission.ensemble import Ensemble, TargetEnsemble
from abawfw.submission.formats import (
    FORMATS,
    SampleFile,
    check_format,
    check_output,
    of_teacher,
    write_submission,
)
from abawfw.submission.weights import FITTED, RULES

if TYPE_CHECKING:
    from abawfw.apis.soup import TargetSoup

EPILOG = f"""\
{', '.join(FITTED)} look at labels of val that all runs have. So what they reach is reported cross-validated
as well, over videos or, where they are known, groups of videos (persons, sessions), and so is what each run
adds: the CCC of all less that of the others, weighted anew.

mean and centred look at no label. They also take folds, whose runs have different videos in val: every
video is measured with the runs that validate on it, and a run is compared with the others of its fold, such
as seeds. In a fold of one run nothing is averaged or centred, so val cannot tell what that does to test.

--weights-average averages weights of networks in place of predictions: runs of one config, best first, each
kept if the CCC on val does not fall. --out is then a run, for test.py, infer.py and export.py, and the
submission lies in it. It pays for runs that went on from one trained run (load_from); others seldom mix.

weights:"""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    rules = '\n'.join(f'  {rule:8} {text}' for rule, text in RULES.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f'{EPILOG}\n{rules}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='work folder of a run, folder of prediction files, folder with predict/extra/TARGET/TRIAL.txt, '
        'or a folder of such folders (folds, seeds)',
    )
    parser.add_argument('--target', nargs='+', choices=TARGETS, help='default: valence and arousal')
    parser.add_argument(
        '--smoothed', action='store_true', help='average the smoothed predictions instead of the clipped ones'
    )
    parser.add_argument(
        '--weights', default='mean', choices=RULES, help='of the runs, see below (default: mean)'
    )
    parser.add_argument(
        '--weights-average', action='store_true', help='average the weights of the networks, see below'
    )
    parser.add_argument(
        '--partition',
        default='test',
        choices=['test', 'train'],
        help='whose predictions are averaged; train: for a student to learn from, see LoadPredictions '
        '(default: test)',
    )
    parser.add_argument('--out', required=True, type=Path, help='folder of the submission, submit/NAME')
    parser.add_argument('--format', default='per-target', choices=FORMATS, help='(default: per-target)')
    parser.add_argument('--sample', type=Path, help="the challenge's sample file, for --format abaw")
    parser.add_argument(
        '--allow-repair',
        type=int,
        metavar='N',
        help='frames to repair per video at most; 2 if not given',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace --out')
    return parser.parse_args(argv)


def target_lines(target: str, found: TargetEnsemble, smoothed: bool, rule: str) -> list[str]:
    """What the runs of a target reach on val, each alone and together."""
    width = max(11, *(len(row.run) for row in found.contributions))
    val = found.val
    frames = 'cannot be measured: a run has none' if val is None else counted(val.n, 'frame')
    folds = f' of {found.folds} folds' if found.folds > 1 else ''
    lines = [f'{target}, val{folds}, {"smoothed" if smoothed else "clipped"} predictions, {frames}']
    lines += [row_line(row, width) for row in found.contributions]
    if val is not None:
        name = 'out of fold' if found.folds > 1 else 'ensemble'
        others = f'pcc {val.pcc:.6f}  mse {val.mse:.6f}  rmse {val.rmse:.6f}'
        lines.append(f'  {name:{width}}  ccc {val.ccc:9.6f}  {others}')
    if found.folds > 1:
        lines.append('  out of fold: every video by the runs that did not train on it')
    if rule in FITTED:
        honest = found.cross_validated_ccc
        text = 'none: there is only one with a label' if honest is None else f'{honest:9.6f}'
        lines.append(
            f'  its weights were found on these frames; cross-validated over {found.unit}: ccc {text}'
        )
        lines.append(f'  cross-validated: {EPOCHS_TOO}')
    return lines + [f'  {note}' for note in notes(found, rule)]


def row_line(row: Contribution, width: int) -> str:
    """One run: alone, in the ensemble, and what the others reach without it."""
    ccc = f'{"none":>9}' if row.ccc is None else f'{row.ccc:9.6f}'
    line = f'  {row.run:{width}}  ccc {ccc}  weight {row.weight:.4f}'
    if row.adds is not None:
        line += f'  adds {round(row.adds, 6) + 0.0:+.6f}  (without it {row.without:9.6f})'  # no -0
    return line if row.error_correlation is None else f'{line}  errors {row.error_correlation:+.2f}'


def notes(found: TargetEnsemble, rule: str) -> list[str]:
    """How to read the columns, and what is not in them."""
    rows = found.contributions
    others = 'others of the fold' if found.folds > 1 else 'others'
    lines = list(found.doubts)
    if found.tuned:
        listed = ', '.join(map(str, found.tuned))
        lines.append(
            f'post-processing was tuned on these very videos, which flatters all of the above: {listed}'
        )
    if any(row.adds is not None for row in rows):
        how = ', cross-validated likewise' if rule in FITTED else ''
        lines.append(f'adds: ccc of all less that of the {others}, weighted anew{how}')
    if not all(row.alone for row in rows):
        lines.append(f'errors: mean correlation with the errors of the {others}')
    if len(rows) == 1:
        lines.append('one run: nothing to compare it with')
    elif lonely := sum(row.alone for row in rows):
        what = 'centring' if rule == 'centred' else 'averaging'
        lines.append(
            f'{lonely} of {counted(len(rows), "run")} without another on the same val videos: '
            'nothing to compare with, '
            f'and no ccc here shows what {what} does to them'
        )
    return lines


def average_weights(args: argparse.Namespace, sample: SampleFile | None) -> None:
    """Write the run whose weights are a mean, and print what it reaches on val."""
    for option, given, why in (
        ('--target', args.target, 'has all targets of its config'),
        ('--weights', args.weights != 'mean', 'holds all that are taken alike'),
        ('--partition', args.partition != 'test', 'predicts train itself, with tools/test.py'),
    ):
        if given:
            raise ConfigError(f'{option} and --weights-average: the mean is a run, which {why}; omit one')
    waits_for('averaging weights')
    from abawfw.apis.soup import SUBMISSION, check_place, soup
    from abawfw.progress import Progress

    for note in check_place(args.out, args.overwrite):
        print(note)
    with Progress() as progress:
        found = soup(
            *(args.runs, args.out, args.smoothed, args.format, sample, args.allow_repair, args.overwrite),
            progress,
        )
    for target, of in found.targets.items():
        print(*soup_lines(target, of), sep='\n')
    print(f'a run to go on with: {args.out}')
    if found.submission is None:
        print('no submission: the store has no test videos')
        return
    for line in found.submission.repairs:
        print(f'repaired: {line}')
    files = counted(len(found.submission.files), 'file')
    print(f'{counted(found.submission.rows, "row")} in {files}: {args.out / SUBMISSION}')


def soup_lines(target: str, of: TargetSoup) -> list[str]:
    """What the runs of a target reach on val, each alone and the mean of the weights of some."""
    width = max(15, *map(len, of.runs))
    lines = [f'{target}, val, raw predictions']
    for run_name, ccc, taken in zip(of.runs, of.run_ccc, of.taken, strict=True):
        lines.append(f'  {run_name:{width}}  ccc {ccc:9.6f}  {"averaged" if taken else "left out"}')
    lines.append(f'  {"mean of weights":{width}}  ccc {of.ccc:9.6f}')
    honest = of.cross_validated_ccc
    text = 'none: there is only one with a label' if honest is None else f'{honest:9.6f}'
    lines.append(f'  its runs were chosen on these frames; cross-validated over {of.unit}: ccc {text}')
    lines.append(f'  cross-validated: {EPOCHS_TOO}')
    if sum(of.taken) == 1:
        lines.append(
            '  no mean is better than the best run alone; weights seldom mix unless all runs went on from '
            'one trained run (load_from)'
        )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Print what the ensemble reaches on val, then write its test predictions."""
    args = parse_args(argv)
    if args.allow_repair is not None and args.allow_repair < 0:
        raise ConfigError(f'--allow-repair {args.allow_repair}: a number of frames, 0 or more')
    sample = SampleFile(args.sample) if args.sample else None
    if args.weights_average:
        average_weights(args, sample)
        return
    for note in check_output(args.out, args.overwrite):
        print(note)
    targets = list(dict.fromkeys(args.target or TARGETS))
    if args.partition == 'train' and (sample or args.format != 'per-target'):
        raise ConfigError('--partition train: nothing is submitted; omit --format and --sample')
    check_format(args.format, targets, sample, args.allow_repair)
    ensemble = Ensemble(args.runs, targets, args.smoothed, args.weights, args.partition)
    for target, found in ensemble.targets.items():
        print(*target_lines(target, found, args.smoothed, args.weights), sep='\n')
    preds = {t: e.preds for t, e in ensemble.targets.items() if e.preds is not None}
    if len(preds) < len(targets):
        lacking = ', '.join(t for t in targets if t not in preds)
        raise DataError(
            f'the runs have no {args.partition} predictions of {lacking}, so no submission is written; '
            f'make them with: python tools/test.py RUN --partition {args.partition}'
        )
    if args.partition == 'train':
        submission = of_teacher(preds, args.smoothed)
    else:
        submission = FORMATS[args.format](preds, sample, args.allow_repair)
    write_submission(args.out, submission, args.overwrite)
    for line in submission.repairs:
        print(f'repaired: {line}')
    print(f'{counted(submission.rows, "row")} in {counted(len(submission.files), "file")}: {args.out}')


if __name__ == '__main__':
    run(main)
