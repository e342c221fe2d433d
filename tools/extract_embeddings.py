"""Write what a model's backbones give for every frame into a store, to train the rest of the model from.

python tools/extract_embeddings.py work_dirs/RUN OUT_STORE
python tools/extract_embeddings.py CONFIG [CHECKPOINT] OUT_STORE
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from abawfw.apis.cli import add_computing_options, add_override_option, run
from abawfw.config.loading import load_config
from abawfw.errors import counted
from abawfw.progress import Progress
from abawfw.results.run import CONFIG


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('run', type=Path, metavar='RUN|CONFIG', help='work_dir of a run, or a config file')
    parser.add_argument(
        'paths',
        type=Path,
        nargs='+',
        metavar='[CHECKPOINT] OUT_STORE',
        help='with a config file: whose weights to take (default: the weights that the config names); folder '
        'to make',
    )
    parser.add_argument('--data-root', help='folder of the store, instead of data_root of the config')
    add_computing_options(parser)
    add_override_option(parser)
    args = parser.parse_args(argv)
    if len(args.paths) > (1 if args.run.is_dir() else 2):
        parser.error('give the work_dir of a run, or a config file and a checkpoint, and the folder to make')
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse(argv)
    is_run = args.run.is_dir()
    overrides = dict(args.cfg_options) | ({'data_root': args.data_root} if args.data_root else {})
    cfg = load_config(args.run / CONFIG if is_run else args.run, overrides)
    from abawfw.apis.extract_embeddings import extract_embeddings
    from abawfw.checkpoints import best_checkpoint

    *given, out = args.paths
    checkpoint = best_checkpoint(args.run, 'ccc') if is_run else given[0] if given else None
    with Progress() as progress:
        tell = partial(progress, 'extracting embeddings, by videos')
        made = extract_embeddings(cfg, checkpoint, out, tell, args.device, args.threads)
    print(
        f'{made.root}: {counted(made.videos, "video")}, {counted(made.frames, "frame")}, from '
        f'{checkpoint or args.run}'
    )
    for name, length in made.embeddings.items():
        print(f'  {name:24} {length:>6}')
    print(f'  copied: {", ".join(made.copied) or "nothing but labels"}')
    return 0


if __name__ == '__main__':
    run(main)
