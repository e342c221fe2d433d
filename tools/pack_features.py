"""Turn any store of features and labels into the packed native store."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from abawfw.apis.cli import run
from abawfw.datasets.stores.kinds import store_kinds
from abawfw.datasets.stores.pack import pack_store
from abawfw.errors import Interrupted
from abawfw.files import recover


def main() -> None:
    """Pack what the command line names."""
    kinds = store_kinds()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--from', dest='kind', required=True, choices=list(kinds), help='layout of SRC')
    parser.add_argument('src', metavar='SRC', help='folder of the store to read')
    parser.add_argument('dst', metavar='DST', help='folder to make')
    parser.add_argument('--features', nargs='+', metavar='NAME', help='take only these (default: all)')
    parser.add_argument(
        '--dtype',
        choices=('float32', 'float16'),
        default='float32',
        help='type on disk of what is not uint8 or float16 already',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace an old packed store at DST')
    args = parser.parse_args()
    for note in recover(Path(args.dst)):
        print(note)
    progress = Progress(args.src)
    source = kinds[args.kind](args.src)
    try:
        store = pack_store(source, args.dst, args.features, args.dtype, args.overwrite, progress.tell)
    except KeyboardInterrupt:
        kept = 'the store there is as it was' if Path(args.dst).exists() else 'nothing is written'
        raise Interrupted(f'{args.dst}: interrupted, {kept}; the same command packs it anew') from None
    finally:
        progress.clear()
    frames = sum(video.num_frames for video in store.videos())
    print(f'{store.root}: {len(store.videos())} videos, {frames} frames')
    for name, info in store.features().items():
        print(f'  {name:24} {"x".join(map(str, info.dims)):>10}  {info.dtype}')


class Progress:
    """Shows the share that is packed and the time left: live on a terminal, else a line per feature."""

    def __init__(self, source: str) -> None:
        self._start, self._feature, self._live = time.monotonic(), '', sys.stderr.isatty()
        self._write(f'reading {source}')

    def tell(self, feature: str, share: float) -> None:
        """This share of all numbers is packed, and a video of this feature comes next."""
        if not self._live and feature == self._feature:
            return
        self._feature = feature
        left = ''
        if share:
            minutes, seconds = divmod(round((time.monotonic() - self._start) * (1 - share) / share), 60)
            left = f', {minutes // 60}:{minutes % 60:02}:{seconds:02} left'
        self._write(f'packing {feature}: {share:.1%}{left}')

    def clear(self) -> None:
        """Leave an empty line on a terminal."""
        if self._live:
            self._write('')

    def _write(self, text: str) -> None:
        sys.stderr.write(f'\r\033[K{text}' if self._live else f'{text}\n')
        sys.stderr.flush()


if __name__ == '__main__':
    run(main)
