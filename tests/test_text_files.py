"""Text and tables from anyone: what is neither is refused by its name, and nothing is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abawfw.datasets.importers.affwild2_files import read_annotation, read_fps
from abawfw.datasets.importers.feature_folder import FeatureFolder
from abawfw.errors import DataError
from abawfw.extraction.extractors.bert import read_transcript
from abawfw.files import MAX_BYTES
from abawfw.groups import Groups
from abawfw.results.trial_files import read_trial_files
from abawfw.submission.formats import SampleFile
from abawfw.text_files import read_csv, read_text


def read_feature(path: Path) -> object:
    return FeatureFolder('face', path.parent).read(path.stem)


def read_groups(path: Path) -> object:
    return Groups.read(path, ['a'], [])


TABLES = [read_csv, read_fps, read_feature, read_transcript, read_groups]
TEXTS = [read_text, read_annotation, SampleFile, *TABLES]


@pytest.mark.parametrize('read', TEXTS[:3] + TABLES[:4])
def test_a_pipe_is_not_opened(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / 'a.csv')
    with pytest.raises(DataError, match=r'a\.csv: is a pipe, a plain file is expected'):
        read(tmp_path / 'a.csv')


def test_a_pipe_among_the_predictions_of_trials_is_not_opened(tmp_path: Path) -> None:
    place = tmp_path / 'predict/val/valence'
    place.mkdir(parents=True)
    os.mkfifo(place / 'a.txt')
    with pytest.raises(DataError, match=r'a\.txt: is a pipe'):
        read_trial_files(tmp_path, 'val', 'valence')


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / 'a.csv').touch()
    os.truncate(tmp_path / 'a.csv', MAX_BYTES + 1)
    with pytest.raises(DataError, match=r'a\.csv: 2,147,483,649 bytes; files of up to 2,147,483,648 '):
        read_text(tmp_path / 'a.csv')


@pytest.mark.parametrize('read', TABLES)
@pytest.mark.parametrize('end', ['', ',1' * 70_000])
def test_an_open_quote_is_named(tmp_path: Path, read: Callable[[Path], object], end: str) -> None:
    """In a long file, Python's reader ends at its limit of a cell."""
    (tmp_path / 'a.csv').write_text(f'x,y\n"a,25{end}')
    with pytest.raises(DataError, match=r'a\.csv: is no table in CSV \(line 2: '):
        read(tmp_path / 'a.csv')


def test_cells_as_programs_write_them(tmp_path: Path) -> None:
    (tmp_path / 'a.csv').write_bytes(b'\xef\xbb\xbfvideo, "a, ""b"""\r\n\r\n"two\nlines",1\rlast,')
    assert read_csv(tmp_path / 'a.csv') == [['video', 'a, "b"'], [], ['two\nlines', '1'], ['last', '']]


@pytest.mark.parametrize('name', ['a\N{LINE SEPARATOR}b', 'a\x85', 'a\x0c'])
def test_only_line_ends_end_a_row(tmp_path: Path, name: str) -> None:
    (tmp_path / 'a.csv').write_text(f'video,group\r\n{name},g\n"x\ny",h\n', encoding='utf-8', newline='')
    assert read_csv(tmp_path / 'a.csv') == [['video', 'group'], [name, 'g'], ['x\ny', 'h']]
