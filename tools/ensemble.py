"""Average the predictions of several runs and write a submission."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.errors import DataError
from abawfw.submission.ensemble import Ensemble, TargetEnsemble
from abawfw.submission.formats import FORMATS, check_format
from abawfw.submission.output_folder import check_output, write_submission
from abawfw.submission.sample_file import SampleFile
from abawfw.submission.weights import FITTED, RULES


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='work folder of a run, folder of prediction files, folder with predict/extra/TARGET/TRIAL.txt, '
        'or a folder of such folders (folds, seeds)',
    )
    parser.add_argument('--target', nargs='+', default=['valence', 'arousal'], choices=['valence', 'arousal'])
    parser.add_argument('--smoothed', action='store_true', help='average the smoothed predictions')
    parser.add_argument(
        '--weights',
        default='mean',
        choices=RULES,
        help='of the runs (default: mean); centred: a common mean per video',
    )
    parser.add_argument('--out', required=True, type=Path, help='folder of the submission, submit/NAME')
    parser.add_argument('--format', default='per-target', choices=FORMATS, help='(default: per-target)')
    parser.add_argument('--sample', type=Path, help="the challenge's sample file, for --format abaw")
    parser.add_argument(
        '--allow-repair',
        type=int,
        default=0,
        metavar='N',
        help='frames to repair per video at most; 2 if not given',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace --out')
    return parser.parse_args()


def target_lines(target: str, found: TargetEnsemble, smoothed: bool, rule: str) -> list[str]:
    """What the runs of a target reach on val, each alone and together."""
    width = max(11, *(len(str(path)) for path in found.runs))
    val = found.val
    frames = 'cannot be measured: a run has none' if val is None else f'{val.n:,} frames'
    folds = f' of {found.folds} folds' if found.folds > 1 else ''
    lines = [f'{target}, val{folds}, {"smoothed" if smoothed else "not smoothed"}, {frames}']
    for path, ccc, weight in zip(found.runs, found.run_ccc, found.weights, strict=True):
        text = f'{"none":>9}' if ccc is None else f'{ccc:9.6f}'
        lines.append(f'  {path!s:{width}}  ccc {text}  weight {weight:.4f}')
    if val is not None:
        name = 'out of fold' if found.folds > 1 else 'ensemble'
        others = f'pcc {val.pcc:.6f}  mse {val.mse:.6f}  rmse {val.rmse:.6f}'
        lines.append(f'  {name:{width}}  ccc {val.ccc:9.6f}  {others}')
    if found.folds > 1:
        lines.append('  out of fold: every video by the runs that did not train on it')
    if rule in FITTED:
        honest = found.cross_validated_ccc
        text = 'none: there is one labelled video' if honest is None else f'{honest:9.6f}'
        lines.append(f'  its weights were found on these frames; cross-validated over videos: ccc {text}')
    return lines


def main() -> None:
    """Print what the ensemble reaches on val, then write its test predictions."""
    args = parse_args()
    check_output(args.out, args.overwrite)
    sample = SampleFile(args.sample) if args.sample else None
    targets = list(dict.fromkeys(args.target))
    check_format(args.format, targets, sample)
    ensemble = Ensemble(args.runs, targets, args.smoothed, args.weights)
    for target, found in ensemble.targets.items():
        print(*target_lines(target, found, args.smoothed, args.weights), sep='\n')
    preds = {t: e.test_preds for t, e in ensemble.targets.items() if e.test_preds is not None}
    if len(preds) < len(targets):
        lacking = ', '.join(t for t in targets if t not in preds)
        raise DataError(
            f'the runs have no test predictions of {lacking}, so no submission is written; '
            'make them with: python tools/test.py RUN --partition test'
        )
    submission = FORMATS[args.format](preds, sample, args.allow_repair)
    write_submission(args.out, submission, args.overwrite)
    for line in submission.repairs:
        print(f'repaired: {line}')
    print(f'{submission.rows:,} rows in {len(submission.files):,} files: {args.out}')


if __name__ == '__main__':
    run(main)
