"""Export a run: python tools/export.py work_dirs/RUN --onnx OUT.onnx, or with CONFIG CHECKPOINT for RUN."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run, waits_for
from abawfw.errors import megabytes


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write what tools/test.py tests as an ONNX file, and compare the two with ONNX Runtime.'
    )
    parser.add_argument('run', type=Path, metavar='RUN|CONFIG', help='work_dir of a run, or a config file')
    parser.add_argument(
        'checkpoint', type=Path, nargs='?', help='with a config file: one checkpoint for all targets'
    )
    parser.add_argument('--onnx', type=Path, required=True, metavar='OUT.onnx', help='the file to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse(argv)
    waits_for(f'exporting {args.run}')
    from abawfw.apis.export import KEY, export

    report = export(args.run, args.onnx, args.checkpoint)
    said = report.description
    for target, name in said['checkpoints'].items():
        print(f'{target}: {name}')
    print(f'\n{report.out}: {megabytes(report.out.stat().st_size)}')
    frames = said['length'] or ('any number' if said['max_length'] is None else f'up to {said["max_length"]}')
    print(f'frames of a clip: {frames}')
    for name, feature in said['features'].items():
        print(f'input  {name}: (time, {", ".join(map(str, feature["dims"]))}) {feature["dtype"]}')
    for name in said['masks']:
        print(f'input  {name}: (time,) bool')
    for state in said['states']:
        print(f'state  {state["input"]} -> {state["output"]}, zeros at the start of a video')
    print(f'output va: (time, {len(said["targets"])}), {", ".join(said["targets"])}')
    for step in said['pipeline']:
        print(f'before it: {", ".join(f"{k}={v}" for k, v in step.items() if k != "statistics")}')
    print(f'all of this, and the numbers of normalisation: JSON in the metadata of the file, under {KEY!r}')
    for length, difference in report.differences.items():
        print(f'largest difference from PyTorch, two clips of {length} frames: {difference:.1e}')
    return 0


if __name__ == '__main__':
    run(main)
