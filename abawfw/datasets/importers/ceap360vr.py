"""CEAP-360VR, from its public repository's JSON to the HDF5 layout of RUCAIM3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.importers.ceap360vr_features import gaze_features, head_features, luminance_features
from abawfw.datasets.stores.rucaim3.files import PARTITIONS
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import DataError
from abawfw.json_files import read_json

PARTICIPANTS = range(1, 33)
SPLIT_SEED = 20240101
SPLIT_SIZES = {'train': 20, 'val': 6, 'test': 6}
FEATURES = {'lum': (2,), 'head': (8,), 'gaze': (7,)}


class CEAPReport(NamedTuple):
    """What an import did: sequences per partition, participants not in the folder, what was repaired."""

    sequences: dict[str, tuple[str, ...]]
    missing_participants: tuple[int, ...]
    repairs: tuple[str, ...]


def split_participants() -> dict[int, str]:
    """Partition of every participant: 32 ids permuted by a fixed seed, 20 / 6 / 6 (docs/your_data.md)."""
    order = np.random.default_rng(SPLIT_SEED).permutation(PARTICIPANTS)
    partitions = np.repeat(list(SPLIT_SIZES), list(SPLIT_SIZES.values()))
    return {
        int(participant): str(partition) for participant, partition in zip(order, partitions, strict=True)
    }


def convert_ceap360vr(
    source: str | os.PathLike[str],
    root: str | os.PathLike[str],
    splits: str | os.PathLike[str] | None = None,
) -> CEAPReport:
    """Import the participants that are there; one sequence is one participant and one video, ``P01_V1``.

    The labels of the test partition are not written: it is scored apart. A fixation that lasts past the last
    frame ends there and is reported. The participant is the group of a sequence.

    Args:
        source: The folder ``CEAP-360VR`` of the public repository.
        root: Data set to write; must not exist or be empty.
        splits: JSON with lists ``train``, ``val``, ``test`` of sequences, in place of ``split_participants``.

    Raises:
        DataError: If a file is missing or malformed (file and key are named), two lengths disagree, or a
            sequence is in no list or in two lists of ``splits``.
    """
    source = Path(source)
    present = [n for n in PARTICIPANTS if annotation_path(source, n).is_file()]
    if not present:
        folder = annotation_path(source, 1).parent
        raise DataError(
            f'{folder}: no P1..P32_Annotation_FrameData.json; give the folder CEAP-360VR of the repository'
        )
    stimuli = read_stimuli(source)
    listed = None if splits is None else _read_splits(Path(splits))
    by_participant = split_participants()
    done: dict[str, list[str]] = {partition: [] for partition in PARTITIONS}
    repairs: list[str] = []
    with RUCAIM3Writer(root, FEATURES) as writer:
        for participant in present:
            for name, recording in read_recordings(source, participant).items():
                sequence = f'P{participant:02d}_{name}'
                if name not in stimuli:
                    raise DataError(f'{source / "1_Stimuli"}: no frame rate or no luminance of video {name}')
                if listed is not None and sequence not in listed:
                    raise DataError(f'{splits}: sequence {sequence} is in none of {", ".join(PARTITIONS)}')
                partition = by_participant[participant] if listed is None else listed[sequence]
                fps, luminance = stimuli[name]
                num_frames = len(recording.annotation)
                fixations = _cut_fixations(recording.fixations, num_frames, sequence, repairs)
                gaze, seen = gaze_features(fixations, num_frames, fps)
                labels = ((recording.annotation - 5) / 4).astype(np.float32)
                writer.add(
                    sequence,
                    partition,
                    features={
                        'lum': luminance_features(luminance, fps),
                        'head': head_features(recording.head, num_frames, fps),
                        'gaze': gaze,
                    },
                    labels=None if partition == 'test' else labels,
                    valid={
                        'lum': np.ones(len(luminance), bool),
                        'head': np.ones(num_frames, bool),
                        'gaze': seen,
                    },
                    fps=fps,
                    group=f'P{participant:02d}',
                )
                done[partition].append(sequence)
    return CEAPReport(
        {partition: tuple(sequences) for partition, sequences in done.items()},
        tuple(n for n in PARTICIPANTS if n not in present),
        tuple(repairs),
    )


def _read_splits(path: Path) -> dict[str, str]:
    """Partition of every listed sequence."""
    content = read_json(path)
    partition_of: dict[str, str] = {}
    for partition in PARTITIONS:
        for sequence in value_of(content, partition, list, path, 'the file'):
            if not isinstance(sequence, str):
                raise DataError(
                    f'{path}: {partition} lists {type(sequence).__name__}, expected names of sequences'
                )
            if sequence in partition_of:
                raise DataError(
                    f'{path}: {sequence} is listed twice, in {partition_of[sequence]} and in {partition}'
                )
            partition_of[sequence] = partition
    return partition_of


def _cut_fixations(
    fixations: NDArray[np.float64], num_frames: int, sequence: str, repairs: list[str]
) -> NDArray[np.float64]:
    """Refuse fixations that begin outside the sequence; cut, and list in repairs, those that end outside."""
    for start, end in fixations[:, :2]:
        if not 0 <= start <= end or start >= num_frames:
            raise DataError(
                f'{sequence}: fixation with StartFrame {start:g}, EndFrame {end:g} does not fit '
                f'{num_frames} frames'
            )
        if end >= num_frames:
            repairs.append(
                f'{sequence}: fixation from frame {start:g} ends at {end:g}, cut at frame {num_frames - 1}'
            )
    fixations = fixations.copy()
    fixations[:, 1] = np.minimum(fixations[:, 1], num_frames - 1)
    return fixations


class Stimulus(NamedTuple):
    """A video: frames per second and luminance per frame."""

    fps: float
    luminance: NDArray[np.float64]


class Viewing(NamedTuple):
    """One participant and one video: labels (frames, 2) from 1 to 9, head (windows, 3), fixations (n, 4)."""

    annotation: NDArray[np.float64]
    head: NDArray[np.float64]
    fixations: NDArray[np.float64]


def annotation_path(source: Path, participant: int) -> Path:
    """Where the annotation of a participant lies."""
    return source / '3_AnnotationData' / 'Frame' / f'P{participant}_Annotation_FrameData.json'


def read_stimuli(source: Path) -> dict[str, Stimulus]:
    """All videos that have a frame rate and a luminance.

    Raises:
        DataError: Naming file and key if a file is missing or malformed.
    """
    path = source / '1_Stimuli' / 'VideoInfo.json'
    rates = {}
    for i, video in enumerate(value_of(read_json(path), 'VideoInfo', list, path, 'the file')):
        name = value_of(video, 'VideoID', str, path, f'VideoInfo, entry {i}')
        rates[name] = float(value_of(video, 'FrameRate', float, path, f'video {name}'))
        if not 1 <= rates[name] < np.inf:
            raise DataError(f"{path}: video {name}, key 'FrameRate': {rates[name]} is no frame rate")
    path = source / '1_Stimuli' / 'CEAP_VideoInfo_Luminance.json'
    stimuli = {}
    for i, video in enumerate(value_of(read_json(path), 'Video_InfoData', list, path, 'the file')):
        name = value_of(video, 'VideoID', str, path, f'Video_InfoData, entry {i}')
        rows = [{'V': luminance} for luminance in value_of(video, 'V', list, path, f'video {name}')]
        if name in rates:
            stimuli[name] = Stimulus(rates[name], table_of(rows, ('V',), path, f'video {name}')[:, 0])
    return stimuli


def read_recordings(source: Path, participant: int) -> dict[str, Viewing]:
    """The videos that a participant annotated, in the order of the annotation file.

    Raises:
        DataError: Naming file and key if a file is missing or malformed, or the video that one of them lacks.
    """
    behaviour = source / '4_BehaviorData'
    files = {
        'annotation': (
            annotation_path(source, participant),
            ('ContinuousAnnotation_FrameData', 'Video_Annotation_FrameData', 'TimeStamp_Valence_Arousal'),
            ('Valence', 'Arousal'),
        ),
        'head': (
            behaviour / 'HM_ScanPath' / f'P{participant}_Behavior_HeadScanPathData.json',
            ('Behavior_HeadScanPath_Data', 'Video_Behavior_ScanPath_Data', 'ID_Pitch_Yaw'),
            ('ID', 'Pitch', 'Yaw'),
        ),
        'fixations': (
            behaviour / 'EM_Fixation' / f'P{participant}_Behavior_FixationData.json',
            ('Behavior_FixationData', 'Video_Behavior_FixationData', 'Fixation'),
            ('StartFrame', 'EndFrame', 'Pitch', 'Yaw'),
        ),
    }
    tables = {part: _read_tables(*description) for part, description in files.items()}
    for part, (path, _, _) in files.items():
        if absent := sorted(set(tables['annotation']) - set(tables[part])):
            raise DataError(
                f'{path}: nothing for VideoID {", ".join(absent)}, which the participant annotated'
            )
    return {name: Viewing(*(tables[part][name] for part in files)) for name in tables['annotation']}


def _read_tables(
    path: Path, keys: tuple[str, str, str], columns: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """One table per video from ``{outer: [{middle: [{VideoID, inner: [rows]}]}]}``."""
    outer, middle, inner = keys
    tables: dict[str, NDArray[np.float64]] = {}
    for i, participant in enumerate(value_of(read_json(path), outer, list, path, 'the file')):
        for k, video in enumerate(value_of(participant, middle, list, path, f'{outer}, entry {i}')):
            name = value_of(video, 'VideoID', str, path, f'{middle}, entry {k}')
            if name in tables:
                raise DataError(f"{path}: key 'VideoID': {name} occurs twice")
            tables[name] = table_of(
                value_of(video, inner, list, path, f'video {name}'), columns, path, f'video {name}'
            )
    return tables


def value_of(item: Any, key: str, kind: type, path: Path, where: str) -> Any:
    """``item[key]``, which must be of a kind (dict, list, str, float).

    Raises:
        DataError: Naming file, place and key if it is missing or of another kind.
    """
    if not isinstance(item, dict) or key not in item:
        raise DataError(f'{path}: {where} has no key {key!r}')
    value = item[key]
    right = (
        isinstance(value, float) or (type(value) is int and value.bit_length() < 1000)  # a float can hold it
        if kind is float
        else isinstance(value, kind)
    )
    if not right:
        raise DataError(
            f'{path}: {where}, key {key!r}: expected {kind.__name__}, found {type(value).__name__}'
        )
    return value


def table_of(rows: list, keys: tuple[str, ...], path: Path, where: str) -> NDArray[np.float64]:
    """(rows, keys) numbers from a list of dicts.

    Raises:
        DataError: Naming file, row and key of the first value that is missing, no number or not finite.
    """
    values = [
        [value_of(row, key, float, path, f'{where}, entry {i}') for key in keys] for i, row in enumerate(rows)
    ]
    table = np.array(values, np.float64).reshape(len(rows), len(keys))
    for i, k in np.argwhere(~np.isfinite(table))[:1]:
        raise DataError(f'{path}: {where}, entry {i}, key {keys[k]!r}: {table[i, k]} is not a finite number')
    return table
