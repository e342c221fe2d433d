"""Files of users are plain files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from abawfw.errors import DataError
from abawfw.files import check_plain


def test_a_plain_file_a_link_to_one_and_a_missing_one_pass(tmp_path: Path) -> None:
    (tmp_path / 'a').touch()
    (tmp_path / 'link').symlink_to('a')
    for name in ('a', 'link', 'missing', 'nul\0'):
        check_plain(tmp_path / name)


def test_everything_else_is_refused_by_its_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path, kind in (
        (tmp_path / 'pipe', 'a pipe'),
        (tmp_path, 'a folder'),
        (Path('/dev/null'), 'a device'),
    ):
        with pytest.raises(DataError, match=f'{path}: is {kind}'):
            check_plain(path)
