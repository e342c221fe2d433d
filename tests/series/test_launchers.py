"""Launchers: what they start, when a run counts as done, and what is left when they are stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from abawfw.errors import ConfigError
from abawfw.series.launchers import Job, Launcher, LocalLauncher, RayLauncher, SlurmLauncher
from abawfw.series.launchers.command_chain import CommandChain, execute

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)  # what waits for a process says so, instead of holding up the others
DONE = "import json, pathlib; pathlib.Path('{}/summary.json').write_text(json.dumps({{'status': 'done'}}))"


def python(text: str) -> tuple[str, ...]:
    return sys.executable, '-c', text


def good(folder: Path, name: str, text: str = 'pass', **more: Any) -> Job:
    """A run whose first command does something and whose second one writes the summary."""
    commands = (python(text), python(DONE.format(name)))
    return Job(name, commands, Path(name), folder=folder, **more)


def launch(launcher: Launcher, runs: list[Job]) -> tuple[list[str], list[tuple[str, str, str]]]:
    """What was reported, and name, reason and log of each failure."""
    lines: list[str] = []
    failures = launcher.launch(runs, lines.append)
    return lines, [(failure.job.name, failure.reason, failure.tail) for failure in failures]


def test_commands_run_in_order_and_print_into_the_log(tmp_path: Path) -> None:
    text = "import os; print('first', os.environ['COLOUR'], os.getcwd())"
    run = good(tmp_path, 'a', text, environment={'COLOUR': 'red'})
    assert not run.done()
    lines, failures = launch(LocalLauncher(1), [run])
    assert failures == []
    assert run.done()
    log = (tmp_path / 'a/output.log').read_text().splitlines()
    assert [line[0] for line in log] == ['$', 'f', '$']
    assert log[1] == f'first red {tmp_path}'
    assert lines == ['a: started, log in a/output.log', 'a: done (1 of 1)']


def test_at_most_so_many_at_a_time(tmp_path: Path) -> None:
    text = 'import time; print(time.monotonic()); time.sleep(.3); print(time.monotonic())'
    runs = [good(tmp_path, str(i), text) for i in range(5)]
    assert launch(LocalLauncher(2), runs)[1] == []
    spans = [list(map(float, run.log.read_text().splitlines()[1:3])) for run in runs]
    together = [sum(start <= t < end for start, end in spans) for t, _ in spans]
    assert max(together) == 2


def test_a_crash_is_tried_once_more(tmp_path: Path) -> None:
    text = "import pathlib as p; f = p.Path('seen'); e = f.exists(); f.touch(); print('try'); exit(not e)"
    lines, failures = launch(LocalLauncher(1), [good(tmp_path, 'a', text), good(tmp_path, 'b')])
    assert failures == []
    assert lines == [
        'a: started, log in a/output.log',
        'a: failed with exit code 1; it is started once more',
        'b: started, log in b/output.log',
        'b: done (1 of 2)',
        'a: started again, log in a/output.log',
        'a: done (2 of 2)',
    ]
    assert (tmp_path / 'a/output.log').read_text().count('try\n') == 2


def test_failures_are_told_with_the_end_of_their_log(tmp_path: Path) -> None:
    talk = "print(*range(50), sep='\\n', flush=True); "
    runs = [
        good(tmp_path, 'crash', f"{talk}raise ValueError('lost')"),
        good(tmp_path, 'kill', f'{talk}import os; os.kill(os.getpid(), 9)'),
        Job('idle', (python('pass'),), Path('idle'), folder=tmp_path),
        good(tmp_path, 'part', outputs=('report.json',)),
        good(tmp_path, 'fine'),
    ]
    _, failures = launch(LocalLauncher(2), runs)
    told = {name: (reason, tail) for name, reason, tail in failures}
    assert set(told) == {'crash', 'kill', 'idle', 'part'}
    assert told['crash'][0] == 'failed with exit code 1'
    assert told['crash'][1].endswith('ValueError: lost')
    assert len(told['crash'][1].splitlines()) == 20
    assert told['kill'][0] == 'killed by signal 9'
    for name in ('idle', 'part'):
        assert told[name][0] == 'ended well, but its files do not say that it is done'


def test_gpus_in_turn_and_threads_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('abawfw.series.launchers.local_launcher.usable_cores', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3, GPU-a')
    assert LocalLauncher().jobs == 2
    launcher = LocalLauncher(3)
    assert [launcher.environment(slot)['CUDA_VISIBLE_DEVICES'] for slot in range(3)] == ['3', 'GPU-a', '3']
    assert {launcher.environment(slot)['OMP_NUM_THREADS'] for slot in range(3)} == {'2'}
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    assert LocalLauncher().jobs == 1
    assert LocalLauncher(20).environment(0) == {'OMP_NUM_THREADS': '1'}
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert LocalLauncher(2).environment(0) == {'OMP_NUM_THREADS': '3'}
    assert LocalLauncher(4).environment(0) == {'OMP_NUM_THREADS': '2'}
    with pytest.raises(ConfigError, match='jobs=0'):
        LocalLauncher(0)


WAITING = """
import pathlib, signal, sys, time
def save(*_): pathlib.Path('saved').touch(); sys.exit(130)
signal.signal(signal.SIGTERM, save)
pathlib.Path('ready').touch()
time.sleep(60)
"""


def stopped(folder: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Launch a run that waits in a process of its own, and send that process a signal."""
    script = f"""
import sys; from pathlib import Path
from abawfw.apis import cli
from abawfw.series.launchers import Job, LocalLauncher
runs = [Job(n, ((sys.executable, '-c', {WAITING!r}),), Path(n)) for n in 'ab']
cli.run(lambda: LocalLauncher(1).launch(runs, print))
"""
    command = [sys.executable, '-c', script]
    # no GPUs: PyTorch, which would count them, takes seconds to load
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': ''}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        wait_for(folder / 'ready')
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def wait_for(path: Path) -> None:
    for _ in range(2400):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f'{path} has not come')


def test_ctrl_c_lets_running_ones_save(tmp_path: Path) -> None:
    found = stopped(tmp_path, signal.SIGINT)
    assert found.returncode == 130
    assert (tmp_path / 'saved').exists()
    assert 'waiting for the running ones to save: a' in found.stdout
    end = 'interrupted: 0 of 2 runs done, stopped: a. The same command goes on where they are\n'
    assert found.stderr == end
    assert not (tmp_path / 'b').exists()


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells children that their parent has died')
def test_runs_do_not_outlive_a_killed_launcher(tmp_path: Path) -> None:
    assert stopped(tmp_path, signal.SIGKILL).returncode == -9
    wait_for(tmp_path / 'saved')


def test_execute_gives_the_code_of_the_command_that_failed(tmp_path: Path) -> None:
    assert execute(good(tmp_path, 'a')) == 0
    assert execute(Job('b', (python('exit(3)'), python('pass')), Path('b'), folder=tmp_path)) == 3
    assert (tmp_path / 'b/output.log').read_text().count('$') == 1


def test_an_interruption_waits_until_the_new_process_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise nobody would wait for it to save."""
    start = CommandChain._start

    def interrupted_start(*words: Any) -> subprocess.Popen[bytes]:
        process = start(*words)
        signal.raise_signal(signal.SIGINT)
        wait_for(tmp_path / 'ready')
        return process

    monkeypatch.setattr(CommandChain, '_start', interrupted_start)
    with pytest.raises(KeyboardInterrupt):
        execute(Job('a', (python(WAITING),), Path('a'), folder=tmp_path))
    assert (tmp_path / 'saved').exists()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


# --- Slurm: stand-ins of its programs, called by the real submitit

SBATCH = """#!/bin/sh
number=$(ls {folder} | grep -c job)
number=$((number + 1))
cp "$1" {folder}/job$number
(SLURM_JOB_ID=$number SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 \\
 SLURM_JOB_NODELIST=here sh {folder}/job$number > {folder}/out$number 2>&1) &
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case "$1" in --output|--error) shift 2;; *) shift;; esac; done
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with sbatch, srun, sacct and scancel; the folder that jobs are copied to."""
    pytest.importorskip('submitit', reason='needs the extra slurm')
    folder = tmp_path / 'slurm_here'
    folder.mkdir()
    programs = {
        'sbatch': SBATCH.format(folder=folder),
        'srun': SRUN,
        'sacct': '#!/bin/sh\necho "JobID|State|NodeList"\n',
        'scancel': f'#!/bin/sh\necho "$@" >> {folder}/cancelled\n',
    }
    place = tmp_path / 'bin'
    place.mkdir()
    for name, text in programs.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{place}:{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setattr(SlurmLauncher, 'interval', 0.2)
    return folder


def test_slurm(slurm: Path, tmp_path: Path) -> None:
    bad = Job('bad', (python("print('lost'); exit(4)"),), Path('bad'), folder=tmp_path)
    lines, failures = launch(SlurmLauncher(partition='gpu', time=30), [good(tmp_path, 'a'), bad])
    assert 'a: done (1 of 2)' in lines
    assert [(name, reason) for name, reason, _ in failures] == [('bad', 'failed with exit code 4')]
    assert failures[0][2].endswith('lost')
    jobs = [(slurm / f'job{i}').read_text() for i in (1, 2, 3)]
    assert ['job-name=a' in jobs[0], 'job-name=bad' in jobs[1], 'job-name=bad' in jobs[2]] == [True] * 3
    assert all('#SBATCH --partition=gpu' in job and '#SBATCH --time=30' in job for job in jobs)


def test_slurm_jobs_are_cancelled(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: SlurmLauncher, job: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SlurmLauncher, 'outcome', interrupted)
    with pytest.raises(KeyboardInterrupt, match='0 of 1 run done, stopped: a'):
        launch(SlurmLauncher(), [good(tmp_path, 'a')])
    wait_for(slurm / 'cancelled')
    assert (slurm / 'cancelled').read_text() == '1\n'
    wait_for(tmp_path / 'a/summary.json')  # the stand-in does not really cancel


def test_slurm_that_cannot_be_used(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = good(tmp_path, 'a')
    with pytest.raises(ConfigError, match=r'partitoin(.|\n)*partition \(default'):
        launch(SlurmLauncher(partitoin='gpu'), [run])
    (tmp_path / 'bin/srun').unlink()
    with pytest.raises(ConfigError, match='there is no Slurm here'):
        launch(SlurmLauncher(), [run])
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize(('launcher', 'package', 'extra'), [
    (SlurmLauncher, 'submitit', 'slurm'), (RayLauncher, 'ray', 'ray'),
])  # fmt: skip
def test_a_missing_extra_is_named(
    launcher: type[Launcher], package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f"need the extra '{extra}'"):
        launch(launcher(), [good(tmp_path, 'a')])


# --- Ray, a real one on this machine

RAY = """
import json, sys; from pathlib import Path
from abawfw.apis import cli
from abawfw.series.launchers import Job, RayLauncher
def main():
    told = json.loads(sys.argv[1])
    runs = [Job(r['name'], tuple(map(tuple, r['commands'])), Path(r['name'])) for r in told]
    RayLauncher(jobs=3, cpus=1).launch(runs, lambda line: print(line, flush=True))
cli.run(main)
"""


@pytest.mark.slow
def test_ray_runs_and_is_interrupted(tmp_path: Path) -> None:
    pytest.importorskip('ray', reason='needs the extra ray')
    text = "import os; print('threads', os.environ['OMP_NUM_THREADS'], os.getcwd())"
    runs = [
        Job('bad', (python("print('lost'); exit(4)"),), Path('bad'), folder=tmp_path),
        good(tmp_path, 'a', text),
        Job('waits', (python(WAITING),), Path('waits'), folder=tmp_path),
    ]
    told = json.dumps([{'name': run.name, 'commands': run.commands} for run in runs])
    # Ray leaves threads and handlers behind, so it gets a process of its own
    command = [sys.executable, '-c', RAY, told]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not {'a: done (1 of 3)', 'bad: failed with exit code 4; given up'} <= set(lines):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            lines.append(line.strip())
        wait_for(tmp_path / 'ready')
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert 'interrupted: 1 of 3 runs done, stopped: waits' in err
    assert (tmp_path / 'saved').exists()
    assert f'threads 1 {tmp_path}' in (tmp_path / 'a/output.log').read_text()
    assert (tmp_path / 'bad/output.log').read_text().count('lost') == 4  # printed, and in the command


def test_more_than_ray_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Mock(cluster_resources=lambda: {'CPU': 8.0})
    monkeypatch.setitem(sys.modules, 'ray', ray)
    with pytest.raises(ConfigError, match='cpus=100000 for a run, but Ray has 8 in all'):
        launch(RayLauncher(cpus=100_000), [good(tmp_path, 'a')])
    with pytest.raises(ConfigError, match=r'gpus=0.5 for a run, but Ray has 0 in all'):
        launch(RayLauncher(gpus=0.5), [good(tmp_path, 'a')])
    assert ray.shutdown.call_count == 2
    assert not (tmp_path / 'a').exists()
