from __future__ import annotations

import importlib.util
import json
import shutil
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from forked_python import forked_workers

from abawfw.apis.build import build_loader, model_config
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.clips import Segments
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.errors import ConfigError
from abawfw.registry import MODELS
from benchmarks.bare_loop import BareLoop, ready_batches
from benchmarks.timing import Spread, in_turn
from benchmarks.train import clips_of, useful_share, with_torch_parts

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'rucaim3'
TINY = {'hidden': 8, 'layers': 1, 'ffn': 8, 'regressor': [4], 'segment_length': 20}


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('benchmark_tool', ROOT / 'tools' / 'benchmark.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'demo'
    make_demo_data(root, videos=(3, 2, 0), scale=0.02)
    return root


def options(name: str, store: Path) -> list[str]:
    tiny = [
        f'{k}={str(v).replace(" ", "")}'
        for k, v in TINY.items()
        if name == 'transformer' or k in ('hidden', 'segment_length')
    ]
    return [
        str(CONFIGS / f'{name}_demo.py'),
        '--data-root',
        str(store),
        '--rounds',
        '1',
        '--cfg-options',
        *tiny,
    ]


def figures(tool: ModuleType, tmp_path: Path, *argv: str) -> dict[str, Any]:
    out = tmp_path / 'figures.json'
    tool.main([argv[0], '--json', str(out), *argv[1:]])
    written = json.loads(out.read_text())
    assert {'cpu', 'cores', 'threads', 'bf16_flags', 'torch', 'gpus'} <= written['machine'].keys()
    return written[argv[0]]


@pytest.mark.parametrize('name', ['transformer', 'fclstm_xl'])
def test_train_gives_every_ratio_for_both_precisions(
    tool: ModuleType, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str
) -> None:
    found = figures(tool, tmp_path, 'train', *options(name, store))
    for precision in ('fp32', 'bf16'):
        one = found[precision]
        assert one['resident_over_bare']['median'] == pytest.approx(
            one['resident_train_seconds']['median'] / one['bare_seconds']['median']
        )
        assert one['train_over_bare']['median'] == pytest.approx(
            one['train_seconds']['median'] / one['bare_seconds']['median']
        )
        parts = ('train_seconds', 'evaluation_seconds', 'saving_seconds')
        assert one['epoch_seconds']['median'] == pytest.approx(sum(one[p]['median'] for p in parts))
        assert one['torch_parts_over_ours']['median'] > 0
    assert found['bf16_over_fp32']['median'] > 0
    assert found['useful_share'].keys() == found['useful_share_affwild2'].keys() == {'train', 'val'}
    assert found['frames'] > 0
    assert found['batches'] > 0
    assert 'train fp32 train_over_bare' in capsys.readouterr().out


def test_data_gives_both_numbers_of_workers(tool: ModuleType, store: Path, tmp_path: Path) -> None:
    found = figures(tool, tmp_path, 'data', *options('fclstm_xl', store))
    assert found['workers'].keys() == {'0', '2'}
    for one in found['workers'].values():
        assert 0 < one['share_of_step']['median'] < 1


def test_waiting_and_network_share_a_step(tool: ModuleType, store: Path, tmp_path: Path) -> None:
    found = figures(tool, tmp_path, 'waiting', *options('fclstm_xl', store))
    assert found['step_ms']['min'] > 0
    share = found['step_ms']['median'] / (found['step_ms']['median'] + found['wait_ms']['median'])
    assert found['network_share']['min'] - 1e-9 <= share <= found['network_share']['max'] + 1e-9


def test_smoothing_needs_no_config(tool: ModuleType, tmp_path: Path) -> None:
    found = figures(tool, tmp_path, 'smoothing', '--rounds', '1')
    assert found['frames'] == 1_000_000
    assert found['windows'].keys() == {'5', '50', '500'}


def test_report_tells_size_and_time_without_a_browser(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('plotly', reason='needs the extra report')
    from benchmarks import report

    monkeypatch.setattr(report, 'benchmark_report', partial(report.benchmark_report, videos=5, frames=400))
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    found = figures(tool, tmp_path, 'report', '--rounds', '1')
    assert (found['videos'], found['frames']) == (5, 400)
    for page in ('run', 'comparison', 'data'):
        assert found[page]['write_seconds']['min'] > 0
        assert 4 < found[page]['megabytes'] < 6  # plotly.js, and little else
        assert found[page]['open'] == f'not opened: none of {", ".join(report.CHROMIUM)} is on the path'


def test_statistics_need_no_config(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from benchmarks import statistics

    for name, size in {'FRAMES': 4000, 'REPLICATES': 100, 'RUNS': 5}.items():
        monkeypatch.setattr(statistics, name, size)
    labels, runs = statistics._predictions()
    assert (len(labels), sum(map(len, labels.values())), len(runs)) == (76, 4000, 5)
    found = figures(tool, tmp_path, 'statistics', '--rounds', '1')
    assert (found['videos'], found['frames'], found['replicates']) == (76, 4000, 100)
    for name in ('bootstrap', 'paired_bootstrap'):
        times = found[name]['seconds']['median'] / (found['sum_ms']['median'] / 1e3)
        assert found[name]['times_sum']['median'] == pytest.approx(times)
    assert found['greedy']['runs'] == 5
    parts = ('arrays_seconds', 'selection_ms', 'contributions_seconds')
    assert all(found['greedy'][part]['median'] > 0 for part in parts)
    assert 'statistics bootstrap seconds' in capsys.readouterr().out


def test_gpu_runs_on_a_cpu_in_small(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import gpu

    for case in ('fclstm_xl', 'tagf'):
        monkeypatch.delitem(gpu.CASES, case)
    monkeypatch.delitem(gpu.PRECISIONS, 'bf16')
    compiled = torch.compile  # what is behind the graphs takes longer than all the rest
    monkeypatch.setattr(torch, 'compile', lambda f, mode, **given: compiled(f, backend='eager', **given))
    found = figures(tool, tmp_path, 'gpu', '--rounds', '1')
    assert found['matmul_precision'] == 'float32'
    case = found['transformer']['fp32']
    assert (case['frames_per_step'], case['steps_per_epoch'] > 1000) == (2 * 20, True)
    for variant in ('ready', *gpu.VARIANTS):
        one = {key: spread['median'] for key, spread in case[variant].items()}
        assert one['epoch_seconds'] == pytest.approx(one['step_ms'] / 1e3 * case['steps_per_epoch'])
        assert one['frames_per_second'] == pytest.approx(40 / one['step_ms'] * 1e3)
        arithmetic = 6 * case['parameters'] * 40 / (one['step_ms'] / 1e3)
        assert one['peak_fraction'] == pytest.approx(arithmetic / found['peak_teraflops']['fp32'] / 1e12)
        assert one['host_ms'] > 0


@pytest.mark.slow
def test_startup_compares_stores_of_two_sizes(tool: ModuleType, store: Path, tmp_path: Path) -> None:
    with forked_workers():
        found = figures(tool, tmp_path, 'startup', '--frames', '2500', *options('fclstm_xl', store))
    assert (found['small']['frames'], found['large']['frames']) == (2500, 25000)
    assert found['large']['disk_mib'] > 8 * found['small']['disk_mib']
    assert found['large']['first_iteration_seconds']['median'] > 0
    assert found['peak_large_over_small']['median'] > 0


def test_a_config_is_asked_for(tool: ModuleType) -> None:
    with pytest.raises(ConfigError, match='needs a config'):
        tool.main(['train'])


@pytest.mark.parametrize('name', ['transformer', 'fclstm_xl', 'transformer_attention'])
def test_the_bare_loop_does_what_the_estimator_does(store: Path, name: str) -> None:
    tiny = {'hidden': 8, 'segment_length': 20, 'data_root': str(store)}
    cfg = resolve(load_config(CONFIGS / f'{name}_demo.py', tiny))
    loader = build_loader(cfg, 'train_dataloader')
    model = MODELS.build(model_config(cfg, loader.dataset.input_dims))
    for module in model.modules():
        if hasattr(module, 'p'):
            module.p = 0.0  # masks are drawn one by one, so the loops would part ways
    bare = BareLoop(model, cfg.optim_wrapper, 'fp32')
    states: list[Any] = []
    loader.batch_sampler.set_epoch(0)
    for ready, batch in zip(ready_batches(loader, 0, [0, 1]), loader, strict=True):
        loss, states = bare._loss(ready, states)
        expected = sum(model(**batch, mode='loss').values())
        torch.testing.assert_close(loss, expected)


def test_torch_parts_are_torchs_own(store: Path) -> None:
    cfg = resolve(load_config(CONFIGS / 'transformer_demo.py', {'data_root': str(store)}))
    loader = build_loader(cfg, 'train_dataloader')
    model = MODELS.build(model_config(cfg, loader.dataset.input_dims))
    kinds = {type(m) for m in with_torch_parts(model).modules()}
    assert {torch.nn.TransformerEncoderLayer, torch.nn.Dropout} <= kinds
    assert not any(k.__module__ == 'abawfw.models.layers.cpu.dropout' for k in kinds)
    assert sum(p.numel() for p in with_torch_parts(model).parameters()) == sum(
        p.numel() for p in model.parameters()
    )


def test_useful_share_counts_padding_and_fillers() -> None:
    dataset = clips_of([4, 2], Segments(4))
    assert useful_share(dataset, [[ClipRequest(0), ClipRequest(1)]]) == 6 / 8
    assert useful_share(dataset, [[ClipRequest(0)], [ClipRequest(0, filler=True)]]) == 4 / 8


def test_turns_alternate_and_ratios_are_taken_within_rounds() -> None:
    calls: list[str] = []
    actions = {n: (lambda n=n: calls.append(n)) for n in 'ab'}
    in_turn(actions, 2, before=lambda turn: calls.append(str(turn)))
    assert calls == ['0', 'a', 'b', '1', 'b', 'a']
    assert Spread.of_ratios([1.0, 8.0, 3.0], [1.0, 4.0, 1.0]) == (2.0, 1.0, 3.0)
