"""python tools/report.py --data STORE."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call

from abawfw.datasets.demo.rucaim3 import make_demo_data


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_demo_data(tmp_path / 'store', videos=(2, 2, 1), scale=0.05)
    return tmp_path / 'store'


def test_writes_a_page_where_it_is_told(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'new' / 'page.html'
    done = call(capfd, 'report', '--data', store, '--out', out)
    assert (done.code, done.err) == (0, '')
    assert done.out.startswith(f'written: {out} (')
    assert '<h1>Data set store</h1>' in out.read_text()
    assert not (store / 'report.html').exists()


def test_writes_into_the_store_unless_told(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, 'report', '--data', store).code == 0
    first = (store / 'report.html').read_text()
    assert call(capfd, 'report', '--data', store).code == 0  # the page in it does not disturb the store
    assert len((store / 'report.html').read_text()) == len(first)


def test_a_broken_store_has_a_page_too(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (store / 'features' / 'val_vggish.h5').write_bytes(b'nothing')
    done = call(capfd, 'report', '--data', store)
    assert (done.code, done.err) == (0, '')
    page = (store / 'report.html').read_text()
    assert 'found in this data: see Findings' in page
    assert 'val_vggish.h5: truncated or damaged' in page


def test_nothing_that_looks_like_a_store(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, 'report', '--data', tmp_path / 'nowhere')
    assert (done.code, done.out) == (2, '')
    assert done.err.startswith(f'error: {tmp_path / "nowhere"}: no such folder')
    assert not (tmp_path / 'nowhere').exists()
    assert call(capfd, 'report', '--data', tmp_path).err.startswith(
        f'error: {tmp_path}: no store of a known kind'
    )
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_told_before_the_work(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = call(capfd, 'report', '--data', store, '--out', store)
    assert (done.code, done.out) == (2, '')
    assert f'{store}: is a folder' in done.err


@pytest.mark.parametrize('words', [[], ['run', '--data', 'store']])
def test_a_run_or_a_store(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, 'report', *words)
    assert done.code == 2
    assert 'name one of both: RUN, or --data STORE' in done.err
