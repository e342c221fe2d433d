"""Measure speed on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from abawfw.apis.cli import add_override_option, run
from abawfw.config.loading import load_config
from abawfw.errors import ConfigError
from abawfw.files import write_text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks/ stands in a checkout only
if not (ROOT / 'benchmarks').is_dir():
    sys.exit(
        'error: benchmark.py needs the folder benchmarks/ of a checkout, which an installed abawfw lacks'
    )
from benchmarks.timing import Spread  # noqa: E402

WHAT = """\
train      a training epoch of CONFIG against a bare PyTorch loop over the same batches, fp32 and bf16
data       loading the training batches of CONFIG, with 0 and 2 worker processes
extraction features of a long 1080p video made of VIDEO, with a face, as CONFIG: factors, memory, drift
gpu        training steps of shipped models at Aff-Wild2's size, of the device; tiny on a CPU; no CONFIG
inference  100,000 frames of CONFIG through VAInferencer against the forward passes alone, CPU seconds
report     pages of runs and data of 600 videos: size, writing, opening in a browser; needs no CONFIG
scan       Mamba's scan by length, a training step against the transformer's, CPU seconds; no CONFIG
smoothing  smoothing a million frames against np.cumsum; needs no CONFIG
startup    first iteration of CONFIG and peak memory, with packed stores of two sizes
statistics bootstrap over 76 videos, single and paired, and greedy selection of 50 runs; needs no CONFIG
stream     a frame's latency when a video goes on, of RUN, the work_dir of a trained run, as CONFIG
tagf       a training step of TAGF against the reference's composition, CPU seconds; needs no CONFIG
waiting    fraction of a training step of CONFIG that is spent in the network, not waiting for data
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Measure speed on this machine. Read the ratios: what is compared is done in turn.',
        epilog=WHAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'what',
        choices=[
            *('train', 'data', 'extraction', 'gpu', 'inference', 'report', 'scan', 'smoothing'),
            *('startup', 'statistics', 'stream', 'tagf', 'waiting'),
        ],
    )
    parser.add_argument('config', type=Path, nargs='?', help='config file')
    parser.add_argument('--data-root', help='folder of the store, instead of data_root of the config')
    parser.add_argument('--rounds', type=int, default=5, help='how often everything is measured (default: 5)')
    parser.add_argument('--frames', type=int, default=20_000, help='startup: frames of the smaller store')
    parser.add_argument(
        '--minutes',
        type=float,
        default=30,
        help='extraction: length of the video; drift is measured over a third of it (default: 30)',
    )
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    add_override_option(parser)
    return parser.parse_intermixed_args(argv)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The figures that the command line asks for."""
    if args.what == 'report':
        from benchmarks.report import benchmark_report

        return benchmark_report(args.rounds)
    if args.what == 'scan':
        from benchmarks.scan import benchmark_scan

        return benchmark_scan(args.rounds)
    if args.what == 'smoothing':
        from benchmarks.statistics import benchmark_smoothing

        return benchmark_smoothing(args.rounds)
    if args.what == 'statistics':
        from benchmarks.statistics import benchmark_statistics

        return benchmark_statistics(args.rounds)
    if args.what == 'gpu':
        from benchmarks.gpu import benchmark_gpu

        return benchmark_gpu(args.rounds)
    if args.what == 'tagf':
        from benchmarks.tagf import benchmark_tagf

        return benchmark_tagf(args.rounds)
    if args.config is None:
        kinds = {'stream': ('run', 'work_dirs/RUN'), 'extraction': ('video', 'VIDEO.mp4')}
        what, place = kinds.get(args.what, ('config', 'configs/NAME.py'))
        raise ConfigError(f'benchmark.py {args.what} needs a {what}: benchmark.py {args.what} {place}')
    if args.what == 'stream':
        from benchmarks.stream import benchmark_stream

        return benchmark_stream(args.config, args.rounds)
    if args.what == 'extraction':
        from benchmarks.extraction import benchmark_extraction

        return benchmark_extraction(args.rounds, args.config, args.minutes, args.minutes / 3)
    overrides = args.cfg_options | ({'data_root': args.data_root} if args.data_root else {})
    cfg = load_config(args.config, overrides)
    if args.what == 'inference':
        from benchmarks.inference import benchmark_inference

        return benchmark_inference(cfg, args.rounds)
    if args.what == 'train':
        from benchmarks.train import benchmark_train

        return benchmark_train(cfg, args.rounds)
    if args.what == 'data':
        from benchmarks.data import benchmark_data

        return benchmark_data(cfg, args.rounds)
    if args.what == 'waiting':
        from benchmarks.waiting import benchmark_waiting

        return benchmark_waiting(cfg, args.rounds)
    from benchmarks.startup import benchmark_startup

    return benchmark_startup(cfg, args.rounds, args.frames)


def rows(node: Any, path: str = '') -> list[str]:
    """One line per figure: its place, and the median with the smallest and largest."""
    if isinstance(node, dict):
        return [row for key, value in node.items() for row in rows(value, f'{path} {key}'.strip())]
    if isinstance(node, Spread):
        return [f'{path:46} {node.median:10.4g}   ({node.min:.4g} to {node.max:.4g})']
    return [f'{path:46} {node:10.4g}' if isinstance(node, (int, float)) else f'{path:46} {node}']


def as_json(node: Any) -> Any:
    """Spreads as dicts of median, min and max."""
    if isinstance(node, dict):
        return {key: as_json(value) for key, value in node.items()}
    return node._asdict() if isinstance(node, Spread) else node


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write if asked to."""
    args = parse(argv)
    from benchmarks.timing import describe_machine

    machine = describe_machine()
    print('\n'.join(rows({'machine': machine})))
    figures = measure(args)
    print('\n'.join(rows({args.what: figures})))
    if args.json:
        write_text(args.json, json.dumps({'machine': machine, args.what: as_json(figures)}, indent=1) + '\n')


if __name__ == '__main__':
    run(main)
