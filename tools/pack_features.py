"""Turn any store of features and labels into the packed native store."""

from __future__ import annotations

import argparse
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.datasets.stores.kinds import store_kinds
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.survey import survey_of
from abawfw.errors import Interrupted, counted
from abawfw.files import recover
from abawfw.progress import Progress


def main(argv: list[str] | None = None) -> None:
    """Pack what the command line names."""
    kinds = store_kinds()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--from', dest='kind', required=True, choices=list(kinds), help='layout of SRC')
    parser.add_argument('src', metavar='SRC', help='folder of the store to read')
    parser.add_argument('dst', metavar='DST', help='folder to make')
    parser.add_argument(
        '--features', nargs='+', metavar='NAME', help='take only these (default: what all videos have)'
    )
    parser.add_argument(
        '--dtype',
        choices=('float32', 'float16'),
        default='float32',
        help='type on disk of what is not uint8 or float16 already',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace an old packed store at DST')
    args = parser.parse_args(argv)
    for note in recover(Path(args.dst)):
        print(note)
    before = identity(Path(args.dst))
    try:
        with Progress() as progress:
            progress(f'reading {args.src}', 0, 1)
            source = kinds[args.kind](args.src)
            store = pack_store(source, args.dst, args.features, args.dtype, args.overwrite, progress)
    except KeyboardInterrupt:
        after = identity(Path(args.dst))
        if before != after:
            raise Interrupted(f'{args.dst}: interrupted when it was finished; it is whole') from None
        kept = 'nothing is written' if after is None else 'the store there is as it was'
        raise Interrupted(f'{args.dst}: interrupted, {kept}; the same command packs it anew') from None
    frames = sum(video.num_frames for video in store.videos())
    print(f'{store.root}: {counted(len(store.videos()), "video")}, {counted(frames, "frame")}')
    for name, info in store.features().items():
        print(f'  {name:24} {"x".join(map(str, info.dims)):>10}  {info.dtype}')
    if args.features is None:
        for name, partitions in survey_of(kinds[args.kind], Path(args.src)).features().items():
            if name not in store.features():
                whole = f'of {", ".join(partitions)} only' if partitions else 'of some videos only'
                print(f'  {name:24} omitted: {args.src} has it {whole}')


def identity(path: Path) -> int | None:
    """What distinguishes a folder from another one of its name; None if there is none."""
    return path.stat().st_ino if path.exists() else None


if __name__ == '__main__':
    run(main)
