"""Extract features of videos into a store to train from.

python tools/extract_features.py VIDEOS_DIR STORE --features face48 logmel egemaps [--annotations DIR]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from abawfw.apis.cli import add_device_option, persons, run
from abawfw.errors import counted
from abawfw.progress import Progress

if TYPE_CHECKING:
    from abawfw.extraction.pipeline.extract import ExtractionReport


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('videos', type=Path, metavar='VIDEOS_DIR', help='folder of videos, or one video')
    parser.add_argument('store', type=Path, metavar='STORE', help='folder to make, or to go on with')
    parser.add_argument(
        '--features', nargs='+', required=True, metavar='NAME', help='such as face48 logmel egemaps mfcc'
    )
    parser.add_argument(
        '--annotations',
        type=Path,
        metavar='DIR',
        help='folder with Train_Set and Validation_Set of VIDEO.txt; a video without one is of the test set',
    )
    parser.add_argument(
        '--crops',
        type=Path,
        metavar='DIR',
        help='aligned faces VIDEO/00001.jpg, instead of looking for faces',
    )
    parser.add_argument(
        '--cfg-options',
        '--options',
        nargs='+',
        action='extend',
        default=[],
        metavar='K=V',
        help='of extractors, of the face detector, and of the rule that says who speaks: '
        'face_embedding.weights=FILE faces.min_face=20 speech.type=MouthMoves',
    )
    parser.add_argument(
        '--persons',
        type=persons,
        default=1,
        metavar='largest|all|N',
        help='how many of a video, where annotations do not say; 2 are VIDEO_left and VIDEO_right, more '
        'VIDEO_person1, ...; default: the largest',
    )
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='videos at once')
    add_device_option(parser)
    parser.add_argument('--resume', action='store_true', help='go on with a store that is there')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 if a video failed."""
    args = parse(argv)
    from abawfw.apis.extract_features import extract_features
    from abawfw.config.overrides import parse_options

    with Progress() as progress:

        def tell(news: str | ExtractionReport) -> None:
            progress.clear()
            _tell(news)

        done = extract_features(
            args.videos,
            args.store,
            args.features,
            annotations=args.annotations,
            crops=args.crops,
            options=parse_options(args.cfg_options),
            persons=args.persons,
            jobs=args.jobs,
            resume=args.resume,
            device=args.device,
            tell=tell,
            progress=progress,
        )
    frames = sum(trial.info.num_frames for trial in done.trials)
    partitions = [trial.info.partition for trial in done.trials]
    counts = ', '.join(f'{p} {partitions.count(p)}' for p in ('train', 'val', 'test') if p in partitions)
    before = f', {counted(len(done.kept), "video")} finished before' if done.kept else ''
    print(
        f'{done.root}: {counted(len(done.trials), "trial")} ({counts or "none"}), '
        f'{counted(frames, "frame")}{before}'
    )
    if done.failed:
        sys.stdout.flush()
        print(f'{counted(len(done.failed), "video")} failed:', file=sys.stderr)
        for video, reason in done.failed.items():
            print(f'  {video}: {reason}', file=sys.stderr)
    return 1 if done.failed else 0


def _tell(news: str | ExtractionReport) -> None:
    from abawfw.apis.face_frames import face_text

    if isinstance(news, str):
        print(news, flush=True)
        return
    for trial in news.trials:
        info = trial.info
        text = f'{info.video_id}: {info.partition}, {counted(info.num_frames, "frame")}, {news.seconds:.2f} s'
        if info.video_id in news.faces:
            text += f', {face_text(*news.faces[info.video_id])}'
        print(text)
    for note in news.notes:
        print(f'  {note}')
    sys.stdout.flush()


if __name__ == '__main__':
    run(main, 'videos that are finished are kept; the same command with --resume goes on')
