"""Which trials a folder of .npy files holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abawfw.datasets.stores.checks import frame_rate, plain_name
from abawfw.datasets.stores.records import PARTITIONS, FeatureInfo, VideoInfo
from abawfw.datasets.stores.trials.pickles import INFO, read_dataset_info
from abawfw.errors import DataError
from abawfw.json_files import plain_text, read_json, truth_value, whole_number

FORMAT, VERSION = 'abawfw-trials', 1
INDEX = 'trials.json'


@dataclass(frozen=True)
class Trial:
    """One trial: what is known of it, and the folder of its arrays.

    Attributes:
        info: name, partition, frames; ``has_labels`` says what the partition lets expect until the files of
            the trial have been looked at.
        folder: where its .npy files lie.
        masked: features that have a mask; None where the index does not say.
    """

    info: VideoInfo
    folder: Path
    masked: frozenset[str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Its entry in trials.json."""
        return {
            'trial': self.info.video_id,
            'partition': self.info.partition,
            'length': self.info.num_frames,
            'fps': self.info.fps,
            'labels': self.info.has_labels,
            'valid': sorted(self.masked or ()),
            **({} if self.info.group is None else {'group': self.info.group}),
        }


@dataclass(frozen=True)
class TrialIndex:
    """The trials of a data set, from our plain index or from the reference's pickle.

    Attributes:
        trials: in their order; from the pickle: train before val before test, as the reference takes them.
        features: shape and type of every feature; None where only the arrays themselves tell.
        source: the file that all this was read from.
    """

    trials: tuple[Trial, ...]
    features: dict[str, FeatureInfo] | None
    source: Path

    @classmethod
    def read(cls, root: Path) -> TrialIndex:
        """Read trials.json of a folder, or, where there is none, dataset_info.pkl.

        Raises:
            DataError: neither is there, or it is damaged or contradicts itself.
        """
        path = root / INDEX
        if path.is_file():
            return cls._from_json(root, path)
        if (root / INFO).is_file():
            trials = (Trial(info, folder) for info, folder in read_dataset_info(root))
            order = sorted(trials, key=lambda trial: PARTITIONS.index(trial.info.partition))
            return cls(tuple(order), None, root / INFO)
        raise DataError(
            f'{root}: neither {INDEX} nor {INFO}; this is not the root of a data set of one folder of .npy '
            'files per trial'
        )

    def to_json(self) -> dict[str, Any]:
        """What stands in trials.json."""
        return {
            'format': FORMAT,
            'version': VERSION,
            'features': {
                name: {'dims': list(info.dims), 'dtype': info.dtype}
                for name, info in (self.features or {}).items()
            },
            'trials': [trial.to_json() for trial in self.trials],
        }

    @classmethod
    def _from_json(cls, root: Path, path: Path) -> TrialIndex:
        data = read_json(path, 'write the data set again')
        found = (data.get('format'), data.get('version')) if isinstance(data, dict) else type(data).__name__
        if found != (FORMAT, VERSION):
            raise DataError(
                f'{path}: format and version are {found}, this code reads {(FORMAT, VERSION)}; write the '
                'data set again, or use the abawfw that wrote it'
            )
        try:
            features = {
                plain_name(name, path): FeatureInfo(
                    tuple(whole_number(n, 1) for n in entry['dims']), plain_text(entry['dtype'])
                )
                for name, entry in data['features'].items()
            }
            trials = tuple(_trial(root, path, entry) for entry in data['trials'])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f'{path}: {type(error).__name__}: {error}; write the data set again, or mend this entry'
            ) from error
        return cls(trials, features, path)


def _trial(root: Path, path: Path, entry: Mapping[str, Any]) -> Trial:
    name = plain_name(entry['trial'], path)
    if entry['partition'] not in PARTITIONS:
        raise DataError(
            f'{path}: trial {name!r} is in partition {entry["partition"]!r}; '
            f'there are {", ".join(PARTITIONS)}'
        )
    info = VideoInfo(
        name,
        entry['partition'],
        whole_number(entry['length']),
        frame_rate(entry['fps']),
        truth_value(entry['labels']),
        None if entry.get('group') is None else plain_text(entry['group']),  # new in version 0.2
    )
    return Trial(info, root / name, frozenset(plain_name(n, path) for n in entry['valid']))
