"""What every command line says at once, meanwhile, and when it is interrupted."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from command_line import ROOT

from abawfw import progress
from abawfw.apis import cli
from abawfw.progress import Progress, clock

BEGINNINGS = {
    'train': (['c.py'], 'checking c.py (loading PyTorch first) ...'),
    'test': (['ROOT'], 'testing ROOT (loading PyTorch first) ...'),
    'report': (['a', 'b'], 'writing the page of a, b (loading MMEngine first) ...'),
    'compare': (['a', 'b'], 'comparing with a (loading MMEngine first) ...'),
    'export': (['a', '--onnx', 'x.onnx'], 'exporting a (loading PyTorch first) ...'),
    'cross_validate': (['c.py'], 'checking c.py (loading PyTorch first) ...'),
    'sweep': (['c.py', 's.py'], 'checking c.py (loading PyTorch first) ...'),
}


@pytest.fixture(scope='module')
def interrupted_imports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that are slow to import, so slow that the user presses Ctrl-C."""
    folder = tmp_path_factory.mktemp('slow')
    for name in ('torch', 'mmengine', 'numpy', 'h5py'):
        (folder / f'{name}.py').write_text('raise KeyboardInterrupt\n')
    return folder


@pytest.mark.parametrize('tool', BEGINNINGS)
def test_the_first_line_comes_before_the_first_import_that_takes_long(
    tool: str, interrupted_imports: Path, tmp_path: Path
) -> None:
    (tmp_path / 'ROOT').mkdir()
    arguments, first = BEGINNINGS[tool]
    done = subprocess.run(
        [sys.executable, str(ROOT / f'tools/{tool}.py'), *arguments],
        cwd=tmp_path, env=os.environ | {'PYTHONPATH': f'{interrupted_imports}{os.pathsep}{ROOT}'},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == f'{first}\ninterrupted: {cli.NOTHING_KEPT}\n'
    assert done.returncode == 130
    assert done.stdout == ''


@pytest.mark.parametrize(
    ('raised', 'said'),
    [
        (KeyboardInterrupt(), 'interrupted: nothing was written, and what was there is as it was; give the '),
        (KeyboardInterrupt('saved epoch_3.pth'), 'saved epoch_3.pth\n'),
    ],
)
def test_ctrl_c_says_what_is_kept(
    raised: KeyboardInterrupt, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.run(lambda: (_ for _ in ()).throw(raised))
    assert leaving.value.code == 130
    assert capfd.readouterr().err.startswith(said)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, as a test says."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress, 'time', SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_into_a_pipe_a_line_now_and_then(now: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(every=progress.EVERY) as shown:
        for done in range(6):
            shown('predicting val', done, 1000)
            now.seconds += 10
    assert capfd.readouterr().err.splitlines() == ['predicting val: 3 of 1,000, about 2:46:10 left']


def test_on_a_terminal_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, 'stderr', screen)
    monkeypatch.setenv('TERM', 'xterm')

    def work() -> Any:
        with Progress() as shown:
            shown('predicting val', 0, 4)
            shown('predicting test', 3, 4)
            shown._bar.refresh()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    text = screen.getvalue()
    assert 'predicting val' in text
    assert 'predicting test' in text
    assert '75%' in text
    assert text.count('\x1b[?25l') == text.count('\x1b[?25h') == 1  # the cursor is hidden, and shown again


@pytest.mark.parametrize(
    ('seconds', 'text'), [(0, '0:00'), (59.6, '1:00'), (3599, '59:59'), (3723, '1:02:03')]
)
def test_times(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(('lines', 'unbuffered'), [(3, False), (100_000, False), (100_000, True)])
def test_an_output_that_is_no_longer_read_ends_quietly(lines: int, unbuffered: bool) -> None:
    code = f'from abawfw.apis.cli import run\nrun(lambda: [print(i) for i in range({lines})] and 0)'
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, *(['-u'] if unbuffered else []), '-c', code],
        stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, '')


def test_another_broken_pipe_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.run(lambda: (_ for _ in ()).throw(BrokenPipeError(32, 'Broken pipe')))
    assert leaving.value.code == 2
    assert capfd.readouterr().err == 'error: [Errno 32] Broken pipe\n'


def test_a_full_gpu_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise torch.OutOfMemoryError(
            'CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.89 GiB of '
            'which 3.19 GiB is free. Process 71 has 12.70 GiB memory in use.'
        )

    with pytest.raises(SystemExit) as left:
        cli.run(main)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: CUDA out of memory. Tried to allocate 20.00 GiB: make train_sampler or')
    for way_out in ('batch_size or lanes', 'train_dataloader.loading.type=Stream', '--amp bf16'):
        assert way_out in line
