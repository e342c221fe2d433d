"""Two runs into the same work_dir at once: the second is refused, whatever it was asked to do."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from unittest.mock import Mock

import pytest
from torch.utils.data import DataLoader

from abawfw.engine.work_dir_lock import work_dir_lock
from abawfw.errors import TrainingError

FORK = multiprocessing.get_context('fork')  # these processes need not import PyTorch anew


def hold(run: Path, say: Connection) -> None:
    """Hold a work_dir, with a worker of a data loader, until killed."""
    with work_dir_lock(run):
        workers = iter(DataLoader(range(9), num_workers=1))  # type: ignore[arg-type]
        say.send(workers._workers[0].pid)
        while True:
            signal.pause()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[ForkProcess, int]]:
    """A process that holds tmp_path/run, and the worker of its data loader."""
    hear, say = FORK.Pipe(False)
    process = FORK.Process(target=hold, args=(tmp_path / 'run', say))
    process.start()
    assert hear.poll(60), 'it does not come to hold it'
    yield process, hear.recv()
    process.kill()
    process.join()


def test_a_second_run_is_refused(train, tmp_path: Path, holder) -> None:
    run = tmp_path / 'run'
    for job in ({}, {'resume': True}):
        found = train(run, job=job)
        assert found['codes'] == [2]
        assert f'{run} is in use: another run (process {holder[0].pid} on ' in found['output']
        assert '--work-dir' in found['output']
    found = train(run, job={'processes': 2, 'resume': True})
    assert found['codes'] == [2, 2], found['output']
    assert found['output'].count('is in use') == 2
    assert [p.name for p in run.iterdir()] == ['.lock'], 'a refused run must write nothing'
    assert train(tmp_path / 'other', epochs=1)['codes'] == [0]


def test_a_killed_run_lets_go(tmp_path: Path, holder) -> None:
    process, worker = holder
    os.kill(worker, signal.SIGSTOP)  # a worker that lives on
    process.kill()
    process.join()
    try:
        with work_dir_lock(tmp_path / 'run'):
            assert f'process {os.getpid()} on ' in (tmp_path / 'run/.lock').read_text()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_killed_and_resumed_at_once(train, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    job = {'signals': [signal.SIGKILL]}
    options = {'train_dataloader.num_workers': 2, 'epochs': 1}
    options |= {'train_dataloader.loading.type': 'Stream'}
    assert train(run, job=job, **options)['codes'] == [-signal.SIGKILL]
    assert (run / '.lock').exists()
    found = train(run, job={'resume': True}, **options)
    assert found['codes'] == [0], found['output']
    assert not (run / '.lock').exists()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / 'run').touch()
    with (
        pytest.raises(TrainingError, match=r'run is a file: choose another place'),
        work_dir_lock(tmp_path / 'run'),
    ):
        pass


def test_without_locks_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Mock()
    monkeypatch.setattr('mmengine.logging.print_log', log)
    monkeypatch.setattr('fcntl.flock', Mock(side_effect=OSError(37, 'No locks available')))
    with work_dir_lock(tmp_path / 'run'):
        assert (tmp_path / 'run/.lock').exists()
    said = log.call_args.args[0]
    assert said.startswith(f'{tmp_path / "run/.lock"}: cannot be locked (No locks available)')


def test_what_is_left_behind(tmp_path: Path) -> None:
    with work_dir_lock(tmp_path / 'empty'):
        pass
    assert not (tmp_path / 'empty').exists()
    with work_dir_lock(tmp_path / 'used'):
        (tmp_path / 'used/file').touch()
    assert [p.name for p in (tmp_path / 'used').iterdir()] == ['file']
    with pytest.raises(ZeroDivisionError), work_dir_lock(tmp_path / 'used'):
        _ = 1 / 0
    assert [p.name for p in (tmp_path / 'used').iterdir()] == ['file']


def test_once_in_a_process_too(tmp_path: Path) -> None:
    with work_dir_lock(tmp_path / 'run'):
        with (
            pytest.raises(TrainingError, match=f'process {os.getpid()} on '),
            work_dir_lock(tmp_path / 'run'),
        ):
            pass
        with work_dir_lock(tmp_path / 'other'):
            pass
        assert (tmp_path / 'run/.lock').exists()


def enter_often(place: Path) -> None:
    entered = 0
    while entered < 60:
        try:
            with work_dir_lock(place):
                inside = os.open(place / 'inside', os.O_CREAT | os.O_EXCL)
                os.close(inside)
                (place / 'inside').unlink()
                entered += 1
        except TrainingError:
            pass


def test_many_at_once_one_after_another(tmp_path: Path) -> None:
    """Processes that enter and leave all the time are never inside together."""
    processes = [FORK.Process(target=enter_often, args=(tmp_path / 'run',)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
