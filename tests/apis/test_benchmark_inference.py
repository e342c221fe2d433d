"""The ratio of inference to its own forward passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import ROOT

from abawfw.config.loading import load_config
from benchmarks.inference import benchmark_inference


@pytest.mark.parametrize('name', ['transformer', 'fclstm_xl'])
def test_both_sides_do_the_same_work(demo_data: Path, name: str) -> None:
    options = {'data_root': str(demo_data), 'features': ['egemaps'], 'hidden': 16, 'regressor': [8]}
    if name == 'transformer':
        options |= {'heads': 2, 'ffn': 16, 'layers': 1}
    cfg = load_config(ROOT / f'configs/rucaim3/{name}_demo.py', options)
    figures = benchmark_inference(cfg, rounds=1, frames=900)
    assert figures['largest_difference'] < 1e-6
    assert figures['frames'] == 900
    inference, forward = figures['inference_cpu_seconds'].median, figures['forward_cpu_seconds'].median
    assert figures['inference_over_forward'].median == pytest.approx(inference / forward)
