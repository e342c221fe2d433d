"""Valence and arousal over time of videos, or of all videos of a store, by a trained run or an ONNX network.

python tools/infer.py VIDEO work_dirs/RUN [--overlay] [--persons all]
python tools/infer.py VIDEO VIDEO FOLDER_OF_VIDEOS work_dirs/RUN
python tools/infer.py STORE work_dirs/RUN
python tools/infer.py VIDEO --network FILE.onnx [--cfg-options mean=0.5 std=0.5 output=va]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from abawfw.apis.cli import add_computing_options, add_overlap_option, persons, run
from abawfw.devices import check_device
from abawfw.errors import ConfigError, counted
from abawfw.progress import Progress

if TYPE_CHECKING:
    from abawfw.apis.infer import Inferred, Source
    from abawfw.apis.inferencer import VAInferencer
    from abawfw.apis.network import NetworkInferencer


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'sources',
        type=Path,
        nargs='+',
        metavar='VIDEO|FOLDER|STORE',
        help='video files, folders of videos, or folders of stores',
    )
    parser.add_argument(
        'run',
        type=Path,
        nargs='?',
        metavar='RUN',
        help='work_dir of a trained run, unless there is --network',
    )
    parser.add_argument(
        '--network', type=Path, metavar='FILE.onnx', help='a network that gives valence and arousal itself'
    )
    parser.add_argument(
        '--cfg-options',
        '--options',
        nargs='+',
        action='extend',
        default=[],
        metavar='K=V',
        help='of a run, what it cannot know of its extractors: face_embedding.weights=FILE; and whose the '
        'audio is: speech.type=MouthMoves. Of a network, its settings: preset, size, colours, layout, scale, '
        'mean, std, face, output, columns, range; see configs/own/README.md',
    )
    parser.add_argument(
        '--out', type=Path, help='folder for the files; default: RUN/inferred, or work_dirs/FILE/inferred'
    )
    parser.add_argument(
        '--overlay', action='store_true', help='also write the video with face boxes, curves and VA plane'
    )
    parser.add_argument(
        '--persons',
        type=persons,
        default=1,
        metavar='largest|all|N',
        help='whose curves: of the face seen largest and longest (default), of everyone, or of so many',
    )
    parser.add_argument(
        '--words',
        action='store_true',
        help='also name the region of the VA plane in a column, such as happy or sad (docs/your_data.md)',
    )
    add_overlap_option(parser)
    add_computing_options(parser)
    args = parser.parse_intermixed_args(argv)
    if args.network is None:
        if args.run is None:  # the paths before it have taken it
            if len(args.sources) < 2:
                parser.error('the following arguments are required: RUN')
            args.run = args.sources.pop()
    else:
        if args.run is not None:
            args.sources.append(args.run)
        if runs := [path for path in args.sources if (path / 'config.py').is_file()]:
            parser.error(f'{runs[0]} is a run, and --network stands in place of one: omit one of both')
        if args.overlap is not None:
            parser.error('--overlap is of a run: a --network sees a frame at a time')
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 if one of several videos failed."""
    args = parse(argv)
    check_device(args.device)
    out = args.out or (args.run or Path('work_dirs', args.network.stem)) / 'inferred'
    from abawfw.apis.infer import find_sources, infer
    from abawfw.config.overrides import parse_options

    options = {} if args.network else parse_options(args.cfg_options)
    if args.run is not None and not (config := args.run / 'config.py').is_file():
        raise ConfigError(
            f'{args.run}: is no run, as the last path is unless there is --network ({config}: no such config '
            'file)'
        )
    sources, notes, refused = find_sources(args.sources)
    for note in notes:
        print(note)
    inferencer = _inferencer(args)

    bar = Progress()

    def tell(news: Inferred | str) -> None:
        bar.clear()
        if isinstance(news, str):
            print(f'{news}: failed, see the end', flush=True)
        else:
            _tell(news, inferencer.targets)

    def progress(source: Source, fraction: float) -> None:
        number = sources.index(source) + 1
        bar(f'{number} of {len(sources)}, extracting {source.path.name}, in %', round(100 * fraction), 100)

    with bar:
        found = infer(
            inferencer,
            sources,
            out,
            overlay=args.overlay,
            options=options,
            persons=args.persons,
            tell=tell,
            progress=progress,
        )
    files = sum(len(video.files) for video in found.done)
    frames = sum(int(video.table['frame'].nunique()) for video in found.done)
    total = (
        f'{counted(len(found.done), "video")}, {counted(frames, "frame")}: ' if len(found.done) > 1 else ''
    )
    print(f'{total}{counted(files, "file")} written to {out}')
    failed = refused | found.failed
    if failed:
        sys.stdout.flush()
        print(f'{counted(len(failed), "video")} failed:', file=sys.stderr)
        for video, reason in sorted(failed.items()):
            print(f'  {video}: {reason}', file=sys.stderr)
    return 1 if failed else 0


def _inferencer(args: argparse.Namespace) -> VAInferencer | NetworkInferencer:
    """Of the run or network, which is said."""
    if args.network is not None:
        from abawfw.apis.network import NetworkInferencer
        from abawfw.config.overrides import parse_words

        settings = parse_words(args.cfg_options)
        network = NetworkInferencer(args.network, settings, args.device, args.threads, args.words)
        print(f'{", ".join(network.targets)}: {args.network}, not smoothed', flush=True)
        return network
    from abawfw.apis.inferencer import VAInferencer
    from abawfw.datasets.stores.frame_rates import rates_text

    overrides = {} if args.overlap is None else {'overlap': args.overlap}
    inferencer = VAInferencer(args.run, args.device, args.threads, overrides, args.words)
    for target, checkpoint in inferencer.checkpoints.items():
        print(f'{target}: {checkpoint}, then {inferencer.postprocess[target]}', flush=True)
        if target in inferencer.intervals:
            print(f'{target}, intervals: {inferencer.intervals[target]}', flush=True)
    rates = 'an unknown frame rate: videos are taken as they are'
    if inferencer.fps is not None:
        rates = rates_text(inferencer.fps)
    print(f'trained at {rates}', flush=True)
    return inferencer


def _tell(video: Inferred, targets: list[str]) -> None:
    """Length, mean values and notes of a video."""
    from abawfw.apis.face_frames import face_text

    people = video.table.groupby('person', sort=False) if 'person' in video.table else [('', video.table)]
    for person, table in people:
        seconds = table.index[-1] - table.index[0]
        length = f'{counted(len(table), "frame")}' + (f', {seconds:.2f} s' if seconds == seconds else '')
        means = ', '.join(f'{target} {table[target].mean():+.2f}' for target in targets)
        faces = int(table['face'].sum())
        if table['face'].isna().all():
            face = ''
        elif video.held is None:
            face = f', features of a face in {faces}'
        else:
            face = f', {face_text(faces, video.held[str(person)])}'
        print(f'{", ".join(filter(None, (video.video, str(person))))}: {length}{face}; mean {means}')
    for note in video.notes:
        print(f'  note: {note}')
    sys.stdout.flush()


if __name__ == '__main__':
    run(main, 'every file that is there is whole; the same command writes all of them anew')
