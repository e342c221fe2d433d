"""Two processes, joined by gloo on one machine."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked_python
import pytest
import torch
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from networks import load_model
from same_run import assert_same_run, differences, rows
from tiny_runs import ROOT, tiny_config, tiny_overrides

from abawfw.apis.build import build_loader
from abawfw.apis.trained_run import predict_together
from abawfw.config.loading import load_config, resolve
from abawfw.devices import THREADS
from abawfw.engine import distributed
from abawfw.engine.distributed import init_distributed
from abawfw.engine.va_runner import VARunner
from abawfw.errors import ConfigError
from abawfw.evaluation.functional import Moments, moments

TWO = {'processes': 2}


@pytest.mark.slow
@pytest.mark.parametrize('model', ['transformer', 'fclstm_xl'])
def test_ranks_agree_and_every_frame_counts_once(train, tiny_data: Path, tmp_path: Path, model: str) -> None:
    found = train(tmp_path / 'run', model, {**TWO, 'prepare': ['keep_weights_of_each_rank']}, epochs=2)
    assert found['codes'] == [0, 0], found['output']
    weights = [torch.load(tmp_path / f'run/rank{rank}.pt') for rank in (0, 1)]
    assert not differences(*weights)
    assert json.loads((tmp_path / 'run/summary.json').read_text())['processes'] == 2

    cfg = resolve(load_config(tiny_config(model), tiny_overrides(model, tiny_data)))
    loader = build_loader(cfg, 'val_dataloader')
    one = predict_together(
        [load_model(cfg, tmp_path / 'run/epoch_2.pth', loader.dataset.input_dims)], loader
    )[0]
    row = rows(tmp_path / 'run')[-1]
    for k, target in enumerate(('valence', 'arousal')):
        alone = Moments.pool(moments(v.label[:, k], v.pred[:, k]) for v in one.values()).ccc
        assert float(row[f'val_ccc_{target}']) == pytest.approx(alone, abs=1e-6)
    train_frames = sum(v.num_frames for v in build_loader(cfg, 'train_dataloader').dataset.videos)
    assert float(row['frames']) == train_frames


@pytest.mark.slow
def test_killed_and_resumed(train, tmp_path: Path) -> None:
    """With workers; without them, test_gradual_release.py does."""
    model = 'transformer_attention'
    options = {'epochs': 2, 'default_hooks.checkpoint.batches': 1, 'train_dataloader.num_workers': 2}
    options |= {'train_dataloader.loading.type': 'Stream'}
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    done = train(whole, model, TWO, **options)
    assert done['codes'] == [0, 0], done['output']
    startup = train(whole, model, {**TWO, 'resume': True}, **options)['cpu_seconds']
    rng = random.Random(model)
    kills = 0
    while True:
        latest = startup + 0.045 * (done['cpu_seconds'] - startup)
        delay = rng.uniform(0.7 * startup, latest) if kills < 5 else None
        found = train(killed, model, {**TWO, 'resume': True, 'kill_after': delay}, **options)
        if found['codes'] == [0, 0]:
            break
        assert found['codes'] == [-9, -9], found['output']
        kills += 1
    assert kills == 5
    assert_same_run(whole, killed)


@pytest.mark.slow
def test_another_number_of_processes_is_refused(train, tmp_path: Path) -> None:
    assert train(tmp_path / 'run', job=TWO, epochs=1)['codes'] == [0, 0]
    before = (tmp_path / 'run/summary.json').read_text()
    found = train(tmp_path / 'run', job={'resume': True}, epochs=1)
    assert found['codes'] == [2]
    assert 'written by 2 processes and this run has 1: continue with 2' in found['output']
    assert (tmp_path / 'run/summary.json').read_text() == before, 'a refused run must not touch the summary'


@pytest.mark.slow
def test_one_signal_stops_both(train, tmp_path: Path) -> None:
    job = {**TWO, 'signals': [2]}
    found = train(tmp_path / 'run', job=job)
    assert found['codes'] == [130, 130], found['output']
    assert (
        f'tools/dist_train.sh {tmp_path}/run/config.py 2 --work-dir {tmp_path}/run --resume'
        in found['output']
    )
    assert [p.name for p in (tmp_path / 'run').glob('epoch_*')] == ['epoch_0_batch_1.pth']


@pytest.mark.parametrize(('launcher', 'way'), [('pytorch', 'torchrun'), ('slurm', 'srun'), ('mpi', 'mpirun')])
def test_a_launcher_that_did_not_start_us(monkeypatch: pytest.MonkeyPatch, launcher: str, way: str) -> None:
    for name in ('LOCAL_RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=f'--launcher {launcher}.*is not set.*{way}'):
        init_distributed(launcher)


def test_mpi_on_gpus_of_one_machine_needs_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(distributed, 'init_dist', lambda launcher, backend: None)
    monkeypatch.setenv('OMPI_COMM_WORLD_LOCAL_RANK', '0')
    for name in ('MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '')  # so that it is given back
        monkeypatch.delenv(name)
    init_distributed('mpi')
    assert (os.environ['MASTER_ADDR'], os.environ['MASTER_PORT']) == ('127.0.0.1', '29500')


def test_threads_for_several_processes_are_not_taken_for_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def setup_env(runner: Any, given: dict) -> None:
        set_multi_processing(distributed=True)

    monkeypatch.setattr(Runner, 'setup_env', setup_env)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    VARunner.setup_env(object.__new__(VARunner), {})
    assert not set(THREADS) & set(os.environ)
    monkeypatch.setenv(THREADS[0], '3')
    VARunner.setup_env(object.__new__(VARunner), {})
    assert [os.environ.get(name) for name in THREADS] == ['3', None]


@pytest.mark.slow
def test_dist_train_script(tiny_data: Path, tmp_path: Path) -> None:
    script = ROOT / 'tools/dist_train.sh'
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    overrides = [
        f'{k}={v!r}'.replace("'", '').replace(' ', '')
        for k, v in tiny_overrides('transformer', tiny_data).items()
    ]
    command = ['bash', str(script), str(tiny_config('transformer')), '2', '--work-dir', str(tmp_path / 'run')]
    folder = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {
        **os.environ,
        'PATH': folder,
        'PYTHONPATH': str(ROOT),
        'OMP_NUM_THREADS': '1',
        'PORT': port,
        'MASTER_PORT': port,
        'PYTHON_EXEC': forked_python.python(),  # what torchrun starts the two processes with
    }
    found = subprocess.run(
        [*command, '--cfg-options', *overrides, 'epochs=1'],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=200,
    )
    assert found.returncode == 0, found.stderr
    assert 'done after 1 epoch' in found.stdout
    assert json.loads((tmp_path / 'run/summary.json').read_text())['processes'] == 2
