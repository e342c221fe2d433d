"""The JSON files of CEAP-360VR's public repository, cwi-dis/CEAP-360VR-Dataset (docs/your_data.md)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.converters.checked_json import table_of, value_of
from abawfw.errors import DataError
from abawfw.json_files import read_json


class Stimulus(NamedTuple):
    """A video: frames per second and luminance per frame."""

    fps: float
    luminance: NDArray[np.float64]


class Recording(NamedTuple):
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


def read_recordings(source: Path, participant: int) -> dict[str, Recording]:
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
    return {name: Recording(*(tables[part][name] for part in files)) for name in tables['annotation']}


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
                raise DataError(f"{path}: key 'VideoID': {name} is there twice")
            tables[name] = table_of(
                value_of(video, inner, list, path, f'video {name}'), columns, path, f'video {name}'
            )
    return tables
