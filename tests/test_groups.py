"""Groups of videos: what a table of them may hold, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError, counted
from abawfw.groups import Groups, known_groups

VIDEOS = ['a', 'b', 'c', 'd,1']
NAMES = st.text(st.characters(exclude_categories=['Cs', 'Cc', 'Zs', 'Zl', 'Zp']), min_size=1, max_size=5)


def read(tmp_path: Path, text: str, needed: tuple[str, ...] = ()) -> Groups:
    path = tmp_path / 'groups.csv'
    path.write_text(text, encoding='utf-8')
    return Groups.read(path, VIDEOS, needed)


@given(of=st.dictionaries(NAMES, NAMES, min_size=1, max_size=6))
def test_a_table_is_read_as_it_was_written(
    of: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp('groups') / 'groups.csv'
    path.write_text(Groups(of).to_csv(), encoding='utf-8')
    assert Groups.read(path, list(of), list(of)).of == of


def test_tables_of_other_programs(tmp_path: Path) -> None:
    text = '\ufeffvideo, group\r\na, anna\r\n\r\n"d,1",ben\r\n'
    assert read(tmp_path, text).of == {'a': 'anna', 'd,1': 'ben'}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', r"line 1: '', expected the header video,group"),
        ('name,person\na,x\n', "line 1: 'name,person', expected the header video,group"),
        ('video,group\na,x\na,y\n', "line 3: video 'a' stands there twice"),
        ('video,group\nA,x\n', r"line 2: no video 'A'; there are: a, b, c, d,1"),
        ('video,group\na\n', "line 2: 'a', expected a video and its group"),
        ('video,group\na,\n', "line 2: 'a,', expected a video and its group"),
        ('video,group\na,x,1\n', "line 2: 'a,x,1', expected a video and its group"),
        ('video,group\na,x\n', 'no group of b, c'),
        ('video,group\n"a,x\n', 'is no table in CSV'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, text, ('a', 'b', 'c'))
    assert str(tmp_path / 'groups.csv') in str(error.value)


def test_a_folder_and_bytes_are_no_table(tmp_path: Path) -> None:
    (tmp_path / 'groups.csv').write_bytes(b'video,group\na,\xff\n')
    with pytest.raises(DataError, match='no text in UTF-8, byte 15 is 0xff: save it as UTF-8'):
        Groups.read(tmp_path / 'groups.csv', VIDEOS, ())
    with pytest.raises(DataError, match='is no plain file'):
        Groups.read(tmp_path, VIDEOS, ())


def test_many_problems_are_listed_shortly(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, 'video,group\n' + ''.join(f'v{k},x\n' for k in range(50)))
    assert str(error.value).splitlines()[-1] == '  and 40 more'
    assert len(str(error.value).splitlines()) == 12


def test_units_are_groups_in_order_and_videos_without_one_alone() -> None:
    groups = Groups({'a': 'x', 'c': 'x', 'd': 'b'})
    assert groups.units(['a', 'b', 'c', 'd']) == [['a', 'c'], ['b'], ['d']]
    assert Groups().units(['a', 'b']) == [['a'], ['b']]


@pytest.mark.parametrize(
    ('of', 'text', 'unit'),
    [
        ({}, '4 videos, no groups known', 'video'),
        ({'a': 'x', 'b': 'x', 'c': 'y', 'd': 'y'}, '2 groups (4 videos)', 'group'),
        ({'a': 'x', 'b': 'x', 'c': 'x', 'd': 'x'}, '1 group (4 videos)', 'group'),
        (
            {'a': 'x', 'b': 'x'},
            '3 groups (4 videos; the group of 2 is unknown, each counts as one of its own)',
            'group',
        ),
        ({'other': 'x'}, '4 videos, no groups known', 'video'),
    ],
)
def test_every_text_names_the_unit(of: dict[str, str], text: str, unit: str) -> None:
    groups = Groups(of)
    assert (groups.text(['a', 'b', 'c', 'd']), groups.unit(['a', 'b', 'c', 'd'])) == (text, unit)


def test_names_say_which_videos_are_of_one_recording() -> None:
    """As in Aff-Wild2; what the data say counts more, and a name alone says nothing."""
    assert known_groups({'v_person1': None, 'v_person12': None, 'v_person': None}).of == {
        'v_person1': 'v',
        'v_person12': 'v',
    }
    videos = {'v1_left': None, 'v1_right': None, 'v2': None, 'v3_left': None, 'v4': 'p', 'v4_left': None}
    assert known_groups(videos).of == {'v1_left': 'v1', 'v1_right': 'v1', 'v4': 'p'}
    assert known_groups({'v5': None, 'v5_right': None, 'left_v': None}).of == {'v5': 'v5', 'v5_right': 'v5'}


def test_counts_have_the_right_number() -> None:
    counts = [counted(n, 'video') for n in (0, 1, 2, 1200)]
    assert counts == ['0 videos', '1 video', '2 videos', '1,200 videos']
