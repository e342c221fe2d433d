#!/usr/bin/env python
"""Import CEAP-360VR from its public repository's layout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from abawfw.apis.cli import run
from abawfw.datasets.importers.ceap360vr import convert_ceap360vr
from abawfw.datasets.importers.ceap360vr_features import stimulus_mean_ccc


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, import, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='folder CEAP-360VR of the repository cwi-dis/CEAP-360VR-Dataset')
    parser.add_argument('root', help='data set to write (HDF5 layout of RUCAIM3); must not exist or be empty')
    parser.add_argument(
        '--splits', help='JSON with lists train, val, test of sequences (default: by participant)'
    )
    args = parser.parse_args(argv)
    report = convert_ceap360vr(args.source, args.root, args.splits)
    for repair in report.repairs:
        print(f'repaired: {repair}')
    for partition, sequences in report.sequences.items():
        note = ', labels omitted' if partition == 'test' and sequences else ''
        print(f'{partition:5} {len(sequences):4d} sequences{note}')
    if report.missing_participants:
        print(f'not there: participants {", ".join(f"P{n}" for n in report.missing_participants)}')
    print(f'written: {args.root}')
    if report.sequences['train'] and report.sequences['val']:
        baseline = stimulus_mean_ccc(args.root)
        print(
            'baseline that knows the stimulus: its mean curve over the training participants, val CCC '
            f'{baseline["valence"]:.4f} / {baseline["arousal"]:.4f} (valence / arousal)'
        )


if __name__ == '__main__':
    run(main)
