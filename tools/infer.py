"""Valence and arousal over time of a video, or of all videos of a store, by a trained run.

python tools/infer.py VIDEO work_dirs/RUN [--overlay]
python tools/infer.py STORE work_dirs/RUN
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from abawfw.apis.cli import run
from abawfw.errors import ConfigError, DataError, counted

if TYPE_CHECKING:
    from abawfw.apis.infer import Inferred


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', type=Path, metavar='VIDEO|STORE', help='a video file, or the folder of a store'
    )
    parser.add_argument('run', type=Path, metavar='RUN', help='work_dir of a trained run')
    parser.add_argument('--out', type=Path, help='folder for the files; default: RUN/inferred')
    parser.add_argument(
        '--overlay', action='store_true', help='also write the video with face box, curves and VA plane'
    )
    parser.add_argument('--device', default='auto', help='such as cpu or cuda; default: what is there')
    parser.add_argument(
        '--options',
        nargs='+',
        default=[],
        metavar='K=V',
        help='of extractors, what the run cannot know: face_embedding.weights=FILE',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse(argv)
    is_store = args.source.is_dir()
    if not args.source.exists():
        raise DataError(f'{args.source}: no such video or store')
    if is_store and (args.overlay or args.options):
        raise ConfigError('--overlay and --options need a video; a store holds features only')
    out = args.out or args.run / 'inferred'
    from abawfw.apis.extraction_options import parse_options
    from abawfw.apis.infer import infer_store, infer_video
    from abawfw.apis.inferencer import VAInferencer

    options = parse_options(args.options)
    inferencer = VAInferencer(args.run, args.device)
    for target, checkpoint in inferencer.checkpoints.items():
        print(f'{target}: {checkpoint}, then {inferencer.postprocess[target]}')
    if is_store:
        done = infer_store(inferencer, args.source, out)
    else:
        try:
            done = [infer_video(inferencer, args.source, out, args.overlay, options, _progress)]
        finally:
            _clear()
    for video in done:
        _tell(video, inferencer.targets)
    print(f'{counted(sum(len(video.files) for video in done), "file")} written to {out}')
    return 0


def _tell(video: Inferred, targets: list[str]) -> None:
    """Length, mean values and notes of a video."""
    table = video.table
    seconds = table.index[-1] - table.index[0]
    length = f'{counted(len(table), "frame")}' + (f', {seconds:.2f} s' if seconds == seconds else '')
    means = ', '.join(f'{target} {table[target].mean():+.2f}' for target in targets)
    faces = table['face'].sum()
    face = '' if table['face'].isna().all() else f', a face in {faces}'
    print(f'{video.video}: {length}{face}; mean {means}')
    for note in video.notes:
        print(f'  note: {note}')


def _progress(share: float) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f'\r\033[Kextracting: {share:.0%}')
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write('\r\033[K')
        sys.stderr.flush()


if __name__ == '__main__':
    run(main, 'every file that is there is whole; the same command writes all of them anew')
