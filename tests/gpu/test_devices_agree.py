"""A run from training to curves on each device; `make gpu-check` runs this on a machine with a GPU."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from abawfw.apis.inferencer import VAInferencer
from abawfw.apis.test import test as run_test
from abawfw.apis.train import train
from abawfw.checkpoints import best_checkpoint, load_checkpoint
from abawfw.config.loading import load_config
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
TINY = {'hidden': 16, 'regressor': [8], 'segment_length': 40, 'constant_epochs': 1, 'lr': 1e-3}
MODELS: dict[str, dict[str, Any]] = {
    'transformer': {**TINY, 'heads': 2, 'ffn': 16, 'layers': 1},
    'fclstm_xl': TINY,
    'transformer_attention': {**TINY, 'heads': 2, 'ffn': 16, 'layers': 1},
}
ON_A_GPU = [
    pytest.param(model, 'cuda', precision, marks=pytest.mark.gpu, id=f'{model}-cuda-{precision}')
    for model, precision in itertools.product(MODELS, ('fp32', 'bf16', 'fp16'))
]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'demo'
    make_demo_data(root, videos=(4, 2, 0), scale=0.03)
    return root


def config(model: str, data: Path, **more: Any) -> Config:
    given = {'data_root': str(data), 'features': ['affectnet', 'egemaps'], **MODELS[model], **more}
    return load_config(ROOT / f'configs/rucaim3/{model}_demo.py', given)


def best(run: Path) -> dict[str, Path]:
    return {target: best_checkpoint(run, f'ccc_{target}') for target in ('valence', 'arousal')}


def raw_ccc(report: Any) -> dict[str, float]:
    return {row['target']: row['ccc'] for row in report.rows['val'] if row['stage'] == 'raw'}


@pytest.mark.parametrize(('model', 'device', 'precision'), [('fclstm_xl', 'cpu', 'bf16'), *ON_A_GPU])
def test_train_resume_test_infer(model: str, device: str, precision: str, data: Path, tmp_path: Path) -> None:
    run, options = tmp_path / 'run', {'optim_wrapper.precision': precision}
    train(config(model, data, epochs=1, **options), run, device=device)
    summary = train(config(model, data, epochs=2, **options), run, resume=True, device=device)
    assert (summary['status'], summary['epochs']['done'], summary['precision']) == ('done', 2, precision)
    assert summary['device'].startswith('cpu') == (device == 'cpu')
    assert bool(load_checkpoint(run / 'epoch_2.pth')['ranks'][0]['random']['cuda']) == (device == 'cuda')

    report = run_test(load_config(run / 'config.py'), best(run), run / 'predictions', device=device)
    assert report.notes == [f'{data} has no test partition: nothing was predicted for it']
    for target, ccc in raw_ccc(report).items():  # tested as validated
        assert ccc == pytest.approx(summary['best'][f'ccc_{target}']['score'], abs=1e-5)

    store = open_store(data)
    video = next(v for v in store.videos() if v.partition == 'val')
    arrays = {f: store.read(video.video_id, f, 0, video.num_frames) for f in ('affectnet', 'egemaps')}
    table = VAInferencer(run, device).predict_arrays(arrays, fps=30)
    assert np.isfinite(table[['valence', 'arousal']].to_numpy()).all()


@pytest.mark.gpu
@pytest.mark.parametrize('model', MODELS)
def test_a_gpu_computes_what_a_cpu_does(model: str, data: Path, tmp_path: Path) -> None:
    """In float32; and a run begun on a GPU goes on on a CPU."""
    run, exact = tmp_path / 'run', {'matmul_precision': 'float32'}
    train(config(model, data, epochs=1, **exact), run, device='cuda')
    found = {
        device: raw_ccc(run_test(load_config(run / 'config.py'), best(run), tmp_path / device, device=device))
        for device in ('cuda', 'cpu')
    }
    for target in found['cpu']:
        assert found['cuda'][target] == pytest.approx(found['cpu'][target], abs=1e-4)
    assert train(config(model, data, epochs=2, **exact), run, resume=True, device='cpu')['status'] == 'done'
    log = '\n'.join(path.read_text() for path in run.rglob('*.log'))
    assert 'written by a run on a GPU, and this one continues on the CPU: it is valid, but not' in log


@pytest.mark.gpu
def test_a_frozen_lstm_is_learnt_through(data: Path, tmp_path: Path) -> None:
    cfg = config('fclstm_xl', data, epochs=1, **{'model.frozen': ['context.1']})
    assert train(cfg, tmp_path / 'run', device='cuda')['status'] == 'done'


@pytest.mark.gpu
def test_a_gpu_beyond_the_last(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'visible here: cuda:0 \(.*choose from these, or use cpu'):
        train(
            config('fclstm_xl', data, epochs=1), tmp_path / 'run', device=f'cuda:{torch.cuda.device_count()}'
        )


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two GPUs')
def test_two_processes(data: Path, tmp_path: Path) -> None:
    given = [f'{k}={v}'.replace(' ', '') for k, v in MODELS['transformer'].items()]
    script, run = ROOT / 'tools/dist_train.sh', tmp_path / 'run'
    command = [
        'bash',
        str(script),
        str(ROOT / 'configs/rucaim3/transformer_demo.py'),
        '2',
        '--data-root',
        str(data),
    ]
    folder = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    subprocess.run(
        [*command, '--work-dir', str(run), '--cfg-options', 'epochs=1', *given],
        env={**os.environ, 'PATH': folder, 'PYTHONPATH': str(ROOT), 'PORT': '29511'},
        check=True,
        timeout=200,
    )
    summary = json.loads((run / 'summary.json').read_text())
    assert (summary['status'], summary['processes']) == ('done', 2)


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['tf32', 'float32'])
def test_products_have_the_precision_that_is_stated(precision: str) -> None:
    from abawfw.devices import computing_on, matmul_precision, multiplying_in

    a = torch.randn(512, 512, dtype=torch.float64, device='cuda')
    with computing_on('cuda'), multiplying_in(precision):
        stated = matmul_precision()
        error = float(((a.float() @ a.float()).double() - a @ a).abs().mean() / (a @ a).abs().mean())
    assert (error > 1e-5) == (stated == 'tf32')
