"""The index of a packed store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from abawfw.datasets.stores.checks import frame_rate, plain_name
from abawfw.datasets.stores.records import KEPT_DTYPES, FeatureInfo, VideoInfo
from abawfw.errors import DataError
from abawfw.json_files import plain_text, read_json, truth_value, whole_number

FORMAT, VERSION = 'abawfw-packed', 1
INDEX = 'index.json'


@dataclass(frozen=True)
class PackedIndex:
    """What lies where in a packed store; plain JSON on disk.

    Attributes:
        videos: in the order in which their frames follow one another.
        features: by name.
        masked: names of the features of which some frames were not observed (they have a valid_*.npy).
        source: where the store was packed from.
        timed: whether there are times of frames that the frame rates do not tell (times.npy).
        checksums: CRC-32 of the rows of every video, by the name of the array; {} in stores packed by earlier
            versions.
    """

    videos: tuple[VideoInfo, ...]
    features: dict[str, FeatureInfo]
    masked: frozenset[str]
    source: str
    timed: bool = False
    checksums: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @cached_property
    def offsets(self) -> dict[str, int]:
        """First frame of every video, counted over all videos."""
        starts = accumulate((video.num_frames for video in self.videos), initial=0)
        return {video.video_id: start for video, start in zip(self.videos, starts, strict=False)}

    @cached_property
    def rows(self) -> dict[str, int]:
        """Position of every video in the order of the store."""
        return {video.video_id: row for row, video in enumerate(self.videos)}

    @cached_property
    def num_frames(self) -> int:
        """Frames of all videos together."""
        return sum(video.num_frames for video in self.videos)

    def to_json(self) -> dict[str, Any]:
        """What stands in index.json."""
        return {
            'format': FORMAT,
            'version': VERSION,
            'source': self.source,
            'times': self.timed,
            'features': {
                name: {'dims': list(info.dims), 'dtype': info.dtype, 'valid': name in self.masked}
                for name, info in self.features.items()
            },
            'videos': [asdict(video) | {'offset': self.offsets[video.video_id]} for video in self.videos],
            'checksums': {name: list(values) for name, values in self.checksums.items()},
        }

    @classmethod
    def read(cls, root: Path) -> PackedIndex:
        """Read and check index.json of a store.

        Raises:
            DataError: missing, damaged, of another format or of a version that this code does not know.
        """
        path = root / INDEX
        if not path.exists():
            raise DataError(f'{path}: no such file; {root} is no packed store (tools/pack_features.py)')
        data = read_json(path, 'pack the store again')
        found = data.get('format') if isinstance(data, dict) else type(data).__name__
        if found != FORMAT:
            raise DataError(f'{path}: format {found!r} instead of {FORMAT!r}; this is no packed store')
        if data.get('version') != VERSION:
            raise DataError(
                f'{path}: version {data.get("version")!r}, this code reads version {VERSION}; '
                'pack the store again, or use the abawfw that wrote it'
            )
        try:
            index = cls._from_json(data)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f'{path}: {type(error).__name__}: {error}; pack the store again') from error
        for video, entry in zip(index.videos, data['videos'], strict=True):
            if entry['offset'] != index.offsets[video.video_id]:
                raise DataError(
                    f'{path}: video {video.video_id!r} starts at frame {entry["offset"]}, the lengths '
                    f'before it sum to {index.offsets[video.video_id]}; pack the store again'
                )
        return index

    @classmethod
    def _from_json(cls, data: dict[str, Any]) -> PackedIndex:
        features = {}
        for name, entry in data['features'].items():
            # An index may come from outside: a name must not lead out of the folder of the store.
            if plain_name(name, 'a feature') and entry['dtype'] not in KEPT_DTYPES:
                raise ValueError(f'feature {name!r} of type {entry["dtype"]!r}')
            features[name] = FeatureInfo(tuple(whole_number(n, 1) for n in entry['dims']), entry['dtype'])
        videos = tuple(
            VideoInfo(
                plain_text(entry['video_id']),
                plain_text(entry['partition']),
                whole_number(entry['num_frames']),
                frame_rate(entry['fps']),
                truth_value(entry['has_labels']),
                None if entry.get('group') is None else plain_text(entry['group']),  # new in version 0.2
            )
            for entry in data['videos']
        )
        masked = frozenset(name for name, entry in data['features'].items() if truth_value(entry['valid']))
        timed = truth_value(data.get('times', False))  # stores packed by earlier versions do not say
        checksums = {
            str(name): tuple(whole_number(value) for value in values)
            for name, values in data.get('checksums', {}).items()
        }
        for name, values in checksums.items():
            if len(values) != len(videos):
                raise ValueError(f'{len(values)} checksums of {name} for {len(videos)} videos')
        return cls(videos, features, masked, str(data['source']), timed, checksums)
