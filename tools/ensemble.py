"""Average the predictions of several runs and write a submission."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.errors import DataError
from abawfw.submission.ensemble import Ensemble
from abawfw.submission.formats import FORMATS
from abawfw.submission.output_folder import check_output, write_submission
from abawfw.submission.sample_file import SampleFile
from abawfw.submission.weights import RULES


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'runs', nargs='+', metavar='RUN', help='work folder of a run, or a folder of prediction files'
    )
    parser.add_argument('--target', nargs='+', default=['valence', 'arousal'], choices=['valence', 'arousal'])
    parser.add_argument('--smoothed', action='store_true', help='average the smoothed predictions')
    parser.add_argument('--weights', default='mean', choices=RULES, help='of the runs (default: mean)')
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


def main() -> None:
    """Print what the ensemble reaches on val, then write its test predictions."""
    args = parse_args()
    check_output(args.out, args.overwrite)
    sample = SampleFile(args.sample) if args.sample else None
    targets = list(dict.fromkeys(args.target))
    ensemble = Ensemble(args.runs, targets, args.smoothed, args.weights)
    width = max(len(str(path)) for path in ensemble.runs)
    stage = 'smoothed' if args.smoothed else 'not smoothed'
    for target, found in ensemble.targets.items():
        print(f'{target}, val, {stage}, {found.val.n:,} frames')
        for path, ccc, weight in zip(ensemble.runs, found.run_ccc, found.weights, strict=True):
            print(f'  {path!s:{width}}  ccc {ccc:9.6f}  weight {weight:.4f}')
        val = found.val
        others = f'pcc {val.pcc:.6f}  mse {val.mse:.6f}  rmse {val.rmse:.6f}'
        print(f'  {"ensemble":{width}}  ccc {val.ccc:9.6f}  {others}')
        if args.weights != 'mean':
            honest = found.cross_validated_ccc
            text = 'none: there is one labelled video' if honest is None else f'{honest:9.6f}'
            print(f'  its weights were found on these frames; cross-validated over videos: ccc {text}')
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
