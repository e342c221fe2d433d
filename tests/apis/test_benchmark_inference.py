"""The ratio of inference to its own forward passes."""

from __future__ import annotations

from pathlib import Path

import mmengine.device.utils
import pytest
from command_line import ROOT

from abawfw.config.loading import load_config
from abawfw.models import VAEstimator
from benchmarks import waiting
from benchmarks.inference import benchmark_inference


@pytest.mark.parametrize('name', ['transformer', 'fclstm_xl'])
def test_both_sides_do_the_same_work(demo_data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'meta')  # as on a machine with a GPU
    options = {'data_root': str(demo_data), 'features': ['egemaps'], 'hidden': 16, 'regressor': [8]}
    if name == 'transformer':
        options |= {'heads': 2, 'ffn': 16, 'layers': 1}
    cfg = load_config(ROOT / f'configs/rucaim3/{name}_demo.py', options)
    figures = benchmark_inference(cfg, rounds=1, frames=900)
    assert figures['largest_difference'] < 1e-6
    assert figures['frames'] == 900
    inference, forward = figures['inference_cpu_seconds'].median, figures['forward_cpu_seconds'].median
    assert figures['inference_over_forward'].median == pytest.approx(inference / forward)


def test_training_that_waits_computes_on_the_device(demo_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {'data_root': str(demo_data), 'features': ['egemaps'], 'hidden': 8, 'regressor': [4]}
    cfg = load_config(ROOT / 'configs/rucaim3/fclstm_xl_demo.py', options)
    devices = set()
    monkeypatch.setattr(waiting, 'get_device', lambda: 'meta')
    monkeypatch.setattr(
        VAEstimator, 'train_step', lambda model, *_, **__: devices.add(next(model.parameters()).device.type)
    )
    assert waiting.benchmark_waiting(cfg, rounds=1)['wait_ms'].median > 0
    assert devices == {'meta'}
