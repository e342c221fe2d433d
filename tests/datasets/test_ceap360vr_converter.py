from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tool_here import tool_here

from abawfw.datasets.importers.ceap360vr import convert_ceap360vr, split_participants
from abawfw.datasets.importers.ceap360vr_features import (
    gaze_features,
    head_features,
    running_mean,
    running_std,
)
from abawfw.datasets.stores import open_store
from abawfw.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def write_source(folder: Path, participants: tuple[int, ...] = (3, 5, 7), num_frames: int = 60) -> Path:
    """A made-up copy of the repository's layout: two videos of a few frames."""
    rng = np.random.default_rng(0)
    videos = ('V1', 'V2')

    def write(path: str, content: Any) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content))

    write(
        '1_Stimuli/VideoInfo.json', {'VideoInfo': [{'VideoID': v, 'FrameRate': 30} for v in ('V0', *videos)]}
    )
    luminance = [{'VideoID': v, 'V': rng.uniform(0, 255, num_frames).tolist()} for v in videos]
    write('1_Stimuli/CEAP_VideoInfo_Luminance.json', {'Video_InfoData': luminance})
    for n in participants:
        labels = [
            {'VideoID': v, 'TimeStamp_Valence_Arousal': [{'Valence': 5, 'Arousal': 9.0}] * num_frames}
            for v in videos
        ]
        write(
            f'3_AnnotationData/Frame/P{n}_Annotation_FrameData.json',
            {'ContinuousAnnotation_FrameData': [{'Video_Annotation_FrameData': labels}]},
        )
        head = [{'ID': k, 'Pitch': 1.0 * k, 'Yaw': 170.0 + 7 * k} for k in range(1, 10)]
        write(
            f'4_BehaviorData/HM_ScanPath/P{n}_Behavior_HeadScanPathData.json',
            {
                'Behavior_HeadScanPath_Data': [
                    {'Video_Behavior_ScanPath_Data': [{'VideoID': v, 'ID_Pitch_Yaw': head} for v in videos]}
                ]
            },
        )
        fixations = [{'StartFrame': 5, 'EndFrame': 9, 'Pitch': 9.0, 'Yaw': 90.0}]
        write(
            f'4_BehaviorData/EM_Fixation/P{n}_Behavior_FixationData.json',
            {
                'Behavior_FixationData': [
                    {'Video_Behavior_FixationData': [{'VideoID': v, 'Fixation': fixations} for v in videos]}
                ]
            },
        )
    return folder


def test_equals_the_shared_data_set(shared: Path, tmp_path: Path) -> None:
    report = convert_ceap360vr(shared / 'data/ceap360vr_raw/CEAP-360VR', tmp_path / 'data')
    assert report.sequences['val'] == tuple(f'P0{p}_V{v}' for p in (1, 2) for v in range(1, 9))
    assert report.missing_participants == tuple(range(3, 33))
    assert report.repairs == ()
    rates = json.loads((shared / 'data/ceap360vr/splits.json').read_text())['fps']
    for feature in ('lum', 'head', 'gaze'):
        name = f'features/val_{feature}.h5'
        with (
            h5py.File(tmp_path / 'data' / name) as ours,
            h5py.File(shared / 'data/ceap360vr' / name) as theirs,
        ):
            assert list(ours) == list(report.sequences['val'])
            for sequence in ours:
                expected = theirs[sequence]
                np.testing.assert_allclose(ours[sequence]['fts'][:], expected['fts'][:], rtol=1e-6, atol=1e-6)
                np.testing.assert_array_equal(ours[sequence]['valid'][:], expected['valid'][:])
    name = 'targets/val_valid_targets.h5'
    with h5py.File(tmp_path / 'data' / name) as ours, h5py.File(shared / 'data/ceap360vr' / name) as theirs:
        for sequence in ours:
            for target in ('valence', 'arousal', 'length'):
                np.testing.assert_array_equal(ours[sequence][target][()], theirs[sequence][target][()])
            assert ours[sequence]['fps'][()] == rates[sequence]


def test_split_is_the_published_one(shared: Path) -> None:
    published = json.loads((shared / 'data/ceap360vr/splits.json').read_text())
    partition_of = split_participants()
    assert sorted(partition_of) == list(range(1, 33))
    for partition in ('train', 'val', 'test'):
        ours = [
            f'P{n:02d}_V{v}'
            for n in sorted(partition_of)
            if partition_of[n] == partition
            for v in range(1, 9)
        ]
        assert ours == published[partition]


def test_every_participant_goes_to_its_partition(tmp_path: Path) -> None:
    report = convert_ceap360vr(write_source(tmp_path / 'raw'), tmp_path / 'data')
    assert report.sequences == {
        'train': ('P03_V1', 'P03_V2'),
        'val': ('P07_V1', 'P07_V2'),
        'test': ('P05_V1', 'P05_V2'),
    }
    with h5py.File(tmp_path / 'data/targets/train_valid_targets.h5') as file:
        np.testing.assert_array_equal(file['P03_V1/valence'][:], np.zeros(60))
        np.testing.assert_array_equal(file['P03_V1/arousal'][:], np.ones(60))
    with h5py.File(tmp_path / 'data/targets/test_valid_targets.h5') as file:
        assert set(file['P05_V1']) == {'length', 'fps'}


def test_the_participant_is_the_group(tmp_path: Path) -> None:
    convert_ceap360vr(write_source(tmp_path / 'source'), tmp_path / 'data')
    found = {video.video_id: video.group for video in open_store(tmp_path / 'data').videos()}
    assert set(found.values()) == {'P03', 'P05', 'P07'}
    assert all(name.startswith(f'{group}_') for name, group in found.items())


def test_own_splits(tmp_path: Path) -> None:
    source = write_source(tmp_path / 'raw', participants=(3,))
    splits = tmp_path / 'splits.json'
    splits.write_text(json.dumps({'train': ['P03_V2'], 'val': ['P03_V1'], 'test': []}))
    report = convert_ceap360vr(source, tmp_path / 'data', splits)
    assert report.sequences == {'train': ('P03_V2',), 'val': ('P03_V1',), 'test': ()}
    splits.write_text(json.dumps({'train': ['P03_V2'], 'val': [], 'test': []}))
    with pytest.raises(DataError, match='P03_V1 is in none'):
        convert_ceap360vr(source, tmp_path / 'b', splits)
    splits.write_text(json.dumps({'train': ['P03_V2'], 'val': ['P03_V2'], 'test': []}))
    with pytest.raises(DataError, match='P03_V2 is listed twice'):
        convert_ceap360vr(source, tmp_path / 'c', splits)
    splits.write_text(json.dumps({'train': []}))
    with pytest.raises(DataError, match=r"splits.json: .*'val'"):
        convert_ceap360vr(source, tmp_path / 'd', splits)


def test_running_statistics_are_causal_means() -> None:
    values = np.random.default_rng(0).standard_normal(40)
    windows = [values[max(0, t - 6) : t + 1] for t in range(40)]
    np.testing.assert_allclose(running_mean(values, 7), [w.mean() for w in windows], atol=1e-12)
    np.testing.assert_allclose(running_std(values, 7), [w.std() for w in windows], atol=1e-12)


def test_yaw_is_interpolated_across_the_seam() -> None:
    scan_path = np.array([[1, 0, 170.0], [2, 0, -170.0]])  # 20 degrees to the right, through 180
    features = head_features(scan_path, num_frames=12, fps=30.0)
    # centres at .1 and .3 s; frame 6 is half-way, at 180 degrees; ends are held
    np.testing.assert_allclose(features[6, 1:3], [0, -1], atol=1e-6)
    np.testing.assert_allclose(
        features[0, 1:3], [np.sin(np.radians(170)), np.cos(np.radians(170))], atol=1e-6
    )
    np.testing.assert_allclose(features[6, 4], 100, rtol=1e-5)  # degrees per second


def test_gaze_is_held_and_fades_after_a_second() -> None:
    features, valid = gaze_features(np.array([[5, 9, 9.0, 90.0]]), num_frames=60, fps=30.0)
    np.testing.assert_array_equal(features[:, 0], (np.arange(60) >= 5) & (np.arange(60) <= 9))
    np.testing.assert_allclose(features[[4, 5, 59], 1], [0, 0.1, 0.1], atol=1e-7)
    np.testing.assert_allclose(features[[4, 5, 59], 2], [0, 1, 1], atol=1e-7)
    np.testing.assert_allclose(features[[5, 9, 10], 4], [0, 4 / 30, 0], atol=1e-7)
    assert features[9, 6] == pytest.approx(30 / 10)  # one onset in ten frames
    np.testing.assert_array_equal(valid, (np.arange(60) >= 5) & (np.arange(60) <= 9 + 29))


def test_fixation_past_the_end_is_cut_and_reported(tmp_path: Path) -> None:
    source = write_source(tmp_path / 'raw', participants=(3,))
    path = source / '4_BehaviorData/EM_Fixation/P3_Behavior_FixationData.json'
    path.write_text(path.read_text().replace('"EndFrame": 9', '"EndFrame": 61'))
    report = convert_ceap360vr(source, tmp_path / 'data')
    assert report.repairs == tuple(
        f'P03_{v}: fixation from frame 5 ends at 61, cut at frame 59' for v in ('V1', 'V2')
    )
    path.write_text(path.read_text().replace('"StartFrame": 5', '"StartFrame": 60'))
    with pytest.raises(DataError, match=r'P03_V1: fixation with StartFrame 60, EndFrame 61 .* 60 frames'):
        convert_ceap360vr(source, tmp_path / 'other')


ANNOTATION = '3_AnnotationData/Frame/P3_Annotation_FrameData.json'
HEAD = '4_BehaviorData/HM_ScanPath/P3_Behavior_HeadScanPathData.json'


@pytest.mark.parametrize(
    ('path', 'old', 'new', 'message'),
    [
        (HEAD, None, None, 'P3_Behavior_HeadScanPathData.json: file is missing'),
        ('1_Stimuli/VideoInfo.json', None, None, 'VideoInfo.json: file is missing'),
        (HEAD, '{', '{{', 'P3_Behavior_HeadScanPathData.json is damaged: no JSON'),
        (HEAD, '"Pitch"', '"Pich"', r"HeadScanPathData.json: video V1, entry 0 has no key 'Pitch'"),
        (HEAD, '"Pitch": 3.0', '"Pitch": NaN', r"HeadScanPathData.json: video V1, entry 2, key 'Pitch': nan"),
        (
            HEAD,
            '"Yaw": 184.0',
            '"Yaw": "left"',
            r"HeadScanPathData.json: .*entry 1, key 'Yaw': expected float, found str",
        ),
        (HEAD, '"VideoID": "V2"', '"VideoID": "V9"', 'HeadScanPathData.json: nothing for VideoID V2'),
        (
            HEAD,
            '"VideoID": "V2"',
            '"VideoID": "V1"',
            "HeadScanPathData.json: key 'VideoID': V1 occurs twice",
        ),
        (
            ANNOTATION,
            '"Video_Annotation',
            '"Annotation',
            "AnnotationData.* has no key 'Video_Annotation_FrameData'",
        ),
        (
            '1_Stimuli/CEAP_VideoInfo_Luminance.json',
            '"V": [',
            '"V": [0.0, ',
            'P03_V1: feature lum has 61 frames, labels has 60',
        ),
        ('1_Stimuli/VideoInfo.json', '"FrameRate": 30', '"FrameRate": 0', "video V0, key 'FrameRate'"),
        ('1_Stimuli/VideoInfo.json', '"V2"', '"V7"', 'no frame rate or no luminance of video V2'),
    ],
)
def test_malformed_files_are_named(
    tmp_path: Path, path: str, old: str | None, new: str, message: str
) -> None:
    source = write_source(tmp_path / 'raw', participants=(3,))
    if old is None:
        (source / path).unlink()
    else:
        text = (source / path).read_text()
        assert old in text
        (source / path).write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        convert_ceap360vr(source, tmp_path / 'data')
    assert not (tmp_path / 'data').exists()


def test_command_line(tmp_path: Path) -> None:
    write_source(tmp_path / 'raw')
    done = tool_here('dataset_converters/ceap360vr', tmp_path / 'raw', tmp_path / 'data')
    assert done.returncode == 0, done.stderr
    assert 'train    2 sequences\n' in done.stdout
    assert 'test     2 sequences, labels omitted' in done.stdout
    assert 'not there: participants P1, P2, P4' in done.stdout
    wrong = tool_here('dataset_converters/ceap360vr', tmp_path, tmp_path / 'b')
    assert wrong.returncode == 2
    assert 'give the folder CEAP-360VR' in wrong.stderr
