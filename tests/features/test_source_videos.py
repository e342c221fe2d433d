"""Which videos there are, which annotation is whose, and which row belongs to which frame."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.features.label_rows import match_rows
from abawfw.features.source_videos import annotated_persons, find_videos


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def annotations(root: Path, train: tuple[str, ...], val: tuple[str, ...]) -> Path:
    inner = root / 'VA_Estimation_Challenge'
    touch(inner / 'Train_Set', *(f'{name}.txt' for name in train))
    touch(inner / 'Validation_Set', *(f'{name}.txt' for name in val))
    return root


def test_partitions_follow_the_annotations(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'b.mp4', 'batch2/a.AVI', 'c.mkv', 'd.mp4', 'list.csv', '.b.mp4')
    labels = annotations(tmp_path / 'labels', ('a', 'c_right', 'c_left', 'x'), ('b', 'y_left'))
    found = find_videos(videos, labels)
    assert [(v.video_id, v.path.name, v.partition, sorted(v.annotations)) for v in found.videos] == [
        ('a', 'a.AVI', 'train', ['']),
        ('b', 'b.mp4', 'val', ['']),
        ('c', 'c.mkv', 'train', ['_left', '_right']),
        ('d', 'd.mp4', 'test', []),
    ]
    assert found.videos[2].annotations['_left'] == labels / 'VA_Estimation_Challenge/Train_Set/c_left.txt'
    assert found.notes == (
        f'{videos}/list.csv: is no video by its ending, left out',
        f'{labels}: no video for 2 annotations: x, y_left',
    )
    assert [v.partition for v in find_videos(videos).videos] == ['test'] * 4
    (alone,) = find_videos(videos / 'b.mp4', labels).videos
    assert (alone.video_id, alone.partition) == ('b', 'val')


def test_a_video_named_like_a_person(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'a.mp4', 'a_left.mp4')
    found = find_videos(videos, annotations(tmp_path / 'labels', ('a_left', 'a'), ('z',))).videos
    assert [sorted(v.annotations) for v in found] == [[''], ['']]


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no such folder'):
        find_videos(tmp_path / 'gone')
    with pytest.raises(DataError, match='no video in it'):
        find_videos(touch(tmp_path / 'texts', 'a.txt'))
    with pytest.raises(DataError, match=r"two videos of the name 'a'"):
        find_videos(touch(tmp_path / 'twice', 'a.mp4', 'batch/a.mov'))
    videos = touch(tmp_path / 'videos', 'a.mp4')
    with pytest.raises(DataError, match='no such folder'):
        find_videos(videos, tmp_path / 'gone')
    with pytest.raises(DataError, match='no annotation files'):
        find_videos(videos, annotations(tmp_path / 'half', ('a',), ()))
    with pytest.raises(DataError, match='one video in two sets'):
        find_videos(videos, annotations(tmp_path / 'both', ('a',), ('a',)))
    with pytest.raises(DataError, match='the persons of one video are in two sets'):
        find_videos(videos, annotations(tmp_path / 'torn', ('a_left',), ('a_right',)))


def test_persons() -> None:
    assert annotated_persons(['']) == {'': ''}
    assert annotated_persons(['_right', '_left']) == {'_left': '_left', '_right': '_right'}
    assert annotated_persons(['', '_left']) == {'_left': '_left', '': '_right'}
    assert annotated_persons(['', '_right', '_left']) == {'_left': '_left', '_right': '_right', '': ''}
    assert annotated_persons([]) == {}


@given(frames=st.integers(1, 9), difference=st.integers(-2, 2))
def test_no_row_ever_moves(frames: int, difference: int) -> None:
    rows = max(frames + difference, 0)
    labels = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) / 100
    labels[rows // 2 : rows // 2 + 1] = np.nan
    matched, note = match_rows(labels, frames, 'x')
    assert matched.shape == (frames, 2)
    assert matched.dtype == np.float32
    common = min(rows, frames)
    np.testing.assert_array_equal(matched[:common], labels[:common])
    assert np.isnan(matched[common:]).all()
    assert (note is None) == (rows == frames)
    if note:
        assert f'{rows} rows for {frames} frames' in note


def test_what_is_done_is_told() -> None:
    labels = np.zeros((5, 2), np.float32)
    assert match_rows(labels, 4, 'a')[1] == 'a: 5 rows for 4 frames: the last 1 left out'
    assert match_rows(labels, 7, 'a')[1] == 'a: 5 rows for 7 frames: no label for the last 2 frames'
    for frames in (2, 8):
        with pytest.raises(DataError, match=f'a: 5 rows for {frames} frames, more than 2 apart'):
            match_rows(labels, frames, 'a')


def test_links_to_folders_and_videos_are_followed(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'a.mp4', 'inside/b.mp4')
    elsewhere = touch(tmp_path / 'disk2', 'season/c.mp4', '.trash/x.mp4')
    (videos / 'linked').symlink_to(elsewhere)
    (videos / 'd.mp4').symlink_to(touch(tmp_path / 'disk3', 'long_name.mp4') / 'long_name.mp4')
    found = find_videos(videos)
    assert [(v.video_id, v.path) for v in found.videos] == [
        ('a', videos / 'a.mp4'),
        ('b', videos / 'inside/b.mp4'),
        ('c', videos / 'linked/season/c.mp4'),
        ('d', videos / 'd.mp4'),
    ]
    assert found.notes == ()


def test_links_in_a_circle_end_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'inside/a.mp4', '.hidden/b.mp4')
    (videos / 'inside/up').symlink_to(videos)
    (videos / 'twice').symlink_to(videos / 'inside')
    (videos / 'shown').symlink_to(videos / '.hidden')
    (videos / 'gone.mp4').symlink_to(tmp_path / 'nowhere.mp4')
    os.mkfifo(videos / 'pipe.mp4')
    found = find_videos(videos)
    assert [v.path for v in found.videos] == [videos / 'inside/a.mp4', videos / 'shown/b.mp4']
    assert found.notes == (
        f'{videos}/gone.mp4: is a link to nothing, left out',
        f'{videos}/inside/up: is the folder {videos} again, left out',
        f'{videos}/pipe.mp4: is no plain file, left out',
        f'{videos}/twice: is the folder {videos}/inside again, left out',
    )
