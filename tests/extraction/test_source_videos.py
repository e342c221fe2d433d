"""Which videos there are, which annotation is whose, and which row belongs to which frame."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.extraction.extractors.bert import transcript_file
from abawfw.extraction.faces.trial_faces import CropFolder
from abawfw.extraction.pipeline.extract import match_rows
from abawfw.extraction.video.source_videos import ENDINGS, annotated_persons, find_videos, not_creatable


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
        f'{videos}: omitted, since they are no videos by their ending: list.csv',
        f'{labels}: no video for 2 annotations: x, y_left',
    )
    assert [v.partition for v in find_videos(videos).videos] == ['test'] * 4
    (alone,) = find_videos(videos / 'b.mp4', labels).videos
    assert (alone.video_id, alone.partition) == ('b', 'val')


def test_a_video_named_like_a_person(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'a.mp4', 'a_left.mp4')
    found = find_videos(videos, annotations(tmp_path / 'labels', ('a_left', 'a'), ('z',))).videos
    assert [sorted(v.annotations) for v in found] == [[''], ['']]


def test_every_ending_and_what_the_page_says(tmp_path: Path) -> None:
    root = touch(tmp_path, *(f'{ending[1:]}{ending}' for ending in ENDINGS), 'a.MP4', 'b.jpg', 'c.mp3')
    assert {video.path.suffix for video in find_videos(root).videos} == {*ENDINGS, '.MP4'}
    assert {'.m2ts', '.ps', '.gif', '.3gp', '.wmv'} <= set(ENDINGS)
    page = (Path(__file__).parents[2] / 'docs/your_data.md').read_text()
    assert ' '.join(f'`{ending}`' for ending in ENDINGS) in page.replace('\n', ' ')


def test_two_files_of_one_name_do_not_keep_the_others(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'a.mp4', 'a.mkv', 'b.mp4', 'batch/c.mp4', 'c.mp4', 'batch/d.mp4')
    found = find_videos(videos, annotations(tmp_path / 'labels', ('a', 'b'), ('d',)))
    assert [(v.video_id, v.partition) for v in found.videos] == [('b', 'train'), ('d', 'val')]
    assert found.refused.keys() == {'a', 'c'}
    assert found.refused['a'] == (
        f"{videos}/a.mkv and {videos}/a.mp4: two videos of the name 'a'; rename one of them, since the name "
        'identifies the video'
    )
    assert found.notes == ()  # the annotation of a is not said to have no video


def test_annotations_that_are_not_read_are_noted(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', 'a.mp4', 'b.mp4', 'c.mp4')
    labels = annotations(tmp_path / 'labels', ('a',), ('b',))
    inner = touch(labels / 'VA_Estimation_Challenge', 'Validation/c.txt', 'Train_Set/c.csv')
    found = find_videos(videos, labels)
    assert [v.partition for v in found.videos] == ['train', 'val', 'test']
    assert found.notes == (
        f'{inner}/Validation: 1 .txt files, but only Train_Set and Validation_Set are read (nearest: '
        'Validation_Set)',
        f'{inner}/Train_Set/c.csv: only .txt files are read',
    )


COMPOSED, DECOMPOSED = 'caf\N{LATIN SMALL LETTER E WITH ACUTE}', 'cafe\N{COMBINING ACUTE ACCENT}'


def test_names_are_the_same_in_any_unicode_form(tmp_path: Path) -> None:
    videos = touch(tmp_path / 'videos', f'{DECOMPOSED}.mp4', 'b.mp4')
    labels = annotations(tmp_path / 'labels', (f'{COMPOSED}_left',), ('b',))
    found = find_videos(videos, labels)
    assert [(v.video_id, sorted(v.annotations)) for v in found.videos] == [
        ('b', ['']),
        (DECOMPOSED, ['_left']),
    ]
    (note,) = found.notes
    assert note.endswith(
        f'{COMPOSED}_left.txt: taken for the annotation of {DECOMPOSED}.mp4, whose name is the same in '
        'another Unicode form'
    )
    touch(labels, f'VA_Estimation_Challenge/Validation_Set/{DECOMPOSED}_left.txt')
    with pytest.raises(DataError, match='one name in two Unicode forms; remove one of them'):
        find_videos(videos, labels)
    found = find_videos(touch(videos, f'{COMPOSED}.mp4'))
    assert [v.video_id for v in found.videos] == ['b']
    (reason,) = found.refused.values()
    assert 'two videos of the name' in reason
    assert 'that differ in Unicode form only; rename one of them' in reason


def test_words_and_crops_of_a_name_in_another_form(tmp_path: Path) -> None:
    words = touch(tmp_path / 'words', f'{DECOMPOSED}.csv')
    assert transcript_file(words, f'{COMPOSED}_left').name == f'{DECOMPOSED}.csv'
    touch(tmp_path / 'crops', f'{COMPOSED}/00002.jpg')
    assert CropFolder(tmp_path / 'crops').track(DECOMPOSED, np.arange(3.0)).found.tolist() == [
        False,
        True,
        False,
    ]


def test_links_are_followed_once(tmp_path: Path) -> None:
    other = touch(tmp_path / 'disk', 'batch/b.mp4', 'batch/e.mp4')
    videos = touch(tmp_path / 'videos', 'a.mp4')
    (videos / 'linked').symlink_to(other / 'batch')
    (videos / 'again').symlink_to(other / 'batch')
    (other / 'batch/up').symlink_to(videos)  # a circle
    (videos / 'c.mp4').symlink_to(tmp_path / 'gone.mp4')
    (videos / 'd.mp4').symlink_to(other / 'batch/e.mp4')  # another name: another video
    (videos / 'sub').mkdir()
    (videos / 'sub/a.mp4').symlink_to(videos / 'a.mp4')
    os.mkfifo(videos / 'f.mp4')
    found = find_videos(videos)
    assert [v.video_id for v in found.videos] == ['a', 'b', 'd', 'e']
    assert [note.removeprefix(f'{videos}/') for note in found.notes] == [
        f'again/up: is the folder {videos} again, omitted',
        'c.mp4: is a link to nothing, omitted',
        'f.mp4: is no plain file, omitted',
        f'linked: is the folder {videos}/again again, omitted',
        f'sub/a.mp4: is the file {videos}/a.mp4 again, omitted',
    ]


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    bytes_of = os.fsencode(tmp_path) + b'/videos/'
    touch(tmp_path / 'videos', 'a.mp4')
    with open(bytes_of + b'caf\xe9.mp4', 'wb'):
        pass
    found = find_videos(tmp_path / 'videos')
    assert [v.video_id for v in found.videos] == ['a']
    (reason,) = found.refused.values()
    assert reason.startswith(
        r"'caf\udce9': this name is no text in the encoding of this locale (utf-8); rename"
    )
    assert not_creatable(tmp_path, 'caf\udce9', 'caf\udce9.va.json') == reason
    assert not_creatable(tmp_path, 'a', 'a.va.json') is None
    longest = os.pathconf(tmp_path, 'PC_NAME_MAX')
    assert not_creatable(tmp_path, 'x', 'x' * longest) is None
    for letter, size in (('x', 1), ('\N{LATIN SMALL LETTER E WITH ACUTE}', 2)):
        name = letter * (longest // size)
        assert not_creatable(tmp_path, name, f'{name}.va.json') == (
            f'{name!r}: the name of this video is too long for the files made of it; rename it, '
            f'{len(name.encode()) + 8 - longest} bytes shorter'
        )
    assert 'no file of the name' in str(not_creatable(tmp_path / 'gone', 'a', 'a.va.json'))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['videos']


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no such folder'):
        find_videos(tmp_path / 'gone')
    with pytest.raises(DataError, match='no video in it'):
        find_videos(touch(tmp_path / 'texts', 'a.txt'))
    videos = touch(tmp_path / 'videos', 'a.mp4')
    with pytest.raises(DataError, match='no such folder'):
        find_videos(videos, tmp_path / 'gone')
    with pytest.raises(DataError, match='no annotation files'):
        find_videos(videos, annotations(tmp_path / 'half', ('a',), ()))
    with pytest.raises(DataError, match=r'no video in it can be used:\n  .*two videos of the name'):
        find_videos(touch(tmp_path / 'twice', 'a.mp4', 'batch/a.mov'))
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
    assert match_rows(labels, 4, 'a')[1] == 'a: 5 rows for 4 frames: the last 1 omitted'
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
        f'{videos}/gone.mp4: is a link to nothing, omitted',
        f'{videos}/inside/up: is the folder {videos} again, omitted',
        f'{videos}/pipe.mp4: is no plain file, omitted',
        f'{videos}/twice: is the folder {videos}/inside again, omitted',
    )
