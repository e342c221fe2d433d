"""A compiled step gives the numbers of the step it stands for; what cannot be compiled runs as it is."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from unittest.mock import MagicMock

import pytest
import torch
import torch._dynamo.utils
from models.model_cases import CONTEXTS, build, clip, split
from same_run import TIMING, assert_same_run
from tiny_runs import tiny_config, tiny_overrides
from torch import Tensor

from abawfw.apis.train import train
from abawfw.apis.trained_run import TrainedRun
from abawfw.checkpoints import load_checkpoint
from abawfw.config.check import GROUPS, config_problems
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.clip_request import ClipRequest
from abawfw.engine.compiled_step import CompiledStep, batch_shapes, commonest
from abawfw.models import contexts, encoders, fusions
from abawfw.registry import LOSSES
from abawfw.structures import VABatch

CLOSE = 1e-5
# Weights large enough for predictions to differ by more than the rounding, and updates in proportion to them.
PLAIN = {
    'epochs': 1,
    'regressor_dropout': 0.0,
    'model.context.0.dropout': 0.0,
    'model.init_cfg.std': 0.3,
    'lr': 0.01,
    'optim_wrapper.optimizer': {'type': 'SGD', 'lr': '${lr}'},
}


def run_of(work_dir: Path, data: Path, model: str, resume: bool = False, **more: Any) -> dict[str, Any]:
    return train(load_config(tiny_config(model), tiny_overrides(model, data, **more)), work_dir, resume)


def graphs() -> int:
    return int(torch._dynamo.utils.counters['stats']['unique_graphs'])


@pytest.fixture
def traced_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch makes a graph of is run as it was traced: the compiler behind it takes most of the time."""
    compiled = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda f, mode, **given: compiled(f, backend='eager', **given))


def figures(run: Path) -> list[dict[str, float]]:
    with (run / 'metrics.csv').open() as file:
        return [{k: float(v) for k, v in row.items() if k not in TIMING} for row in csv.DictReader(file)]


def test_a_compiled_run_has_the_numbers_of_any_other(tiny_data: Path, tmp_path: Path) -> None:
    """Lanes: batches have fewer clips as lanes end, and shorter ones where videos end."""
    plain = run_of(tmp_path / 'plain', tiny_data, 'fclstm_xl', **PLAIN)
    before = graphs()
    options = {**PLAIN, 'compile': {'mode': 'reduce-overhead'}}
    summary = run_of(tmp_path / 'run', tiny_data, 'fclstm_xl', **options)
    assert (plain['compiled'], summary['compiled']) == ('no', 'reduce-overhead')
    assert graphs() - before == 4  # before and behind the LSTM, in training and in validation
    ours, theirs = figures(tmp_path / 'run'), figures(tmp_path / 'plain')
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=CLOSE)
    weights, others = (
        load_checkpoint(tmp_path / name / 'epoch_1.pth')['state_dict'] for name in ('run', 'plain')
    )
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=0, atol=CLOSE)


@pytest.mark.usefixtures('traced_alone')
def test_a_compiled_run_is_resumed_exactly(tiny_data: Path, tmp_path: Path) -> None:
    options = {'epochs': 2, 'compile': {'mode': 'default'}}
    run_of(tmp_path / 'whole', tiny_data, 'fclstm_xl', **options)
    shutil.copytree(tmp_path / 'whole', tmp_path / 'resumed')
    (tmp_path / 'resumed/epoch_2.pth').unlink()
    run_of(tmp_path / 'resumed', tiny_data, 'fclstm_xl', resume=True, **options)
    assert_same_run(tmp_path / 'whole', tmp_path / 'resumed')


@pytest.mark.usefixtures('traced_alone')
def test_networks_are_compiled_to_be_tested(original: Path) -> None:
    trained = TrainedRun(resolve(load_config(original / 'config.py')), {'valence': original / 'epoch_3.pth'})
    before = graphs()
    predicted, expected = (trained.predict('val', mode=mode)['valence'][0] for mode in ('default', None))
    assert graphs() - before == 1
    assert not trained.notes
    assert predicted.keys() == expected.keys()
    for video, values in predicted.items():
        assert values == pytest.approx(expected[video], abs=CLOSE)


@LOSSES.register_module()
def error_decided_on_the_host(pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
    """A loss of the user's that torch makes no graph of."""
    value = (pred - label).square().mean()
    return value if value > 1e9 else 2 * value


def test_what_cannot_be_compiled_runs_as_without(
    tiny_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {'epochs': 1, 'losses': [{'type': 'error_decided_on_the_host'}]}
    run_of(tmp_path / 'plain', tiny_data, 'transformer', **options)
    capfd.readouterr()
    summary = run_of(tmp_path / 'run', tiny_data, 'transformer', compile={'mode': 'default'}, **options)
    assert_same_run(tmp_path / 'plain', tmp_path / 'run')
    out, err = capfd.readouterr()
    (line,) = (line for line in (out + err).splitlines() if 'compiled' in line and 'compiling' not in line)
    reason = summary['compiled'].removeprefix('no: ')
    assert reason != summary['compiled']
    assert f'warning: cannot be compiled, and computes as without compile: {reason}' in line
    assert json.loads((tmp_path / 'run/summary.json').read_text())['compiled'] == summary['compiled']


SMALL = {'dim': 8, 'layers': 1, 'heads': 2}
CO_ATTENTION = {'time_mix': 'conv', 'steps': 1, 'states': 'all', 'gate': 'lstm'}
# Contexts, loss, and what stands in front of the contexts.
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ('fclstm-xl', 'batch', {}),
    ('transformer-attention', 'batch', {'fusion': {'type': 'LeaderFollowerFusion', 'dim': 4}}),
    (
        'gru',
        'clip',
        {
            'encoders': {'b': {'type': 'TCN', 'channels': (4,), 'kernel': 3}},
            'fusion': {'type': 'ChannelAttentionFusion', 'dim': 4},
        },
    ),
    (
        'fclstm-xl',
        'teacher',
        {
            'encoders': {'a': {'type': 'AttentionPooling', 'frames': 3, 'hidden': 5}},
            'fusion': {'type': 'ReliabilityFusion', 'tokens': 'a', 'dim': 8, 'heads': 2},
        },
    ),
    (
        'pre-norm',
        'batch',
        {
            'context': [{'type': 'PreNormEncoderContext', 'layers': 1, 'heads': 2, 'ffn': 12}],
            'fusion': {'type': 'CoAttentionFusion', **CO_ATTENTION},
        },
    ),
    (
        'conformer',
        'batch',
        {
            'encoders': {'a': {'type': 'AttentionEncoder', **SMALL}},
            'fusion': {'type': 'DirectedFusion', 'query': 'a', 'key': 'b', **SMALL},
        },
    ),
    ('conformer-causal', 'batch', {'fusion': {'type': 'MixtureOfExpertsFusion', **SMALL}}),
    ('mamba', 'batch', {}),
]


@pytest.mark.usefixtures('traced_alone')
@pytest.mark.parametrize(('name', 'over', 'front'), CASES)
def test_batches_are_padded_where_that_changes_no_number(name: str, over: str, front: dict[str, Any]) -> None:
    """A CCC per clip counts padding, see `CCCLoss`."""
    loss = {'type': 'DistillationLoss'} if over == 'teacher' else {'type': 'CCCLoss', 'over': over}
    head = {'type': 'RegressionHead', 'layers': [8], 'losses': [loss]}
    plain, model = (build(name, head=head, **front).train() for _ in range(2))
    for module in (*plain.modules(), *model.modules()):
        if hasattr(module, 'p'):
            module.p = 0.0
    step = CompiledStep(model, 'default', rows=3, frames=7)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        step.try_out()
    model.compiled[True] = step
    before, alone = graphs(), []
    model.step = lambda *given: alone.append(1) or type(model).step(model, *given)
    whole = [clip(video, 0, 7, 7, lane) for lane, video in enumerate('pqr')]
    for clips in (whole, [clip('p', 7, 5, 5), clip('s', 0, 3, 5, lane=1)]):
        x = torch.randn(len(clips), len(clips[0].valid), 8)
        found, expected = [], []
        for m, of in ((model, found), (plain, expected)):
            batch = VABatch.of(clips)
            if over == 'teacher':
                batch.teacher_va = batch.gt_va.cos()
            m.zero_grad()
            losses = m(split(x), batch, mode='loss')
            sum(losses.values()).backward()
            gradients = {k: p.grad for k, p in m.named_parameters() if p.grad is not None}
            of += [losses, batch.predictions(), gradients, m.lane_state()]
        torch.testing.assert_close(found[:3], expected[:3])
        states = found[3]
        for key, state in expected[3].items():  # a memory in a graph has its full length, empty at the end
            ours = states[key]
            torch.testing.assert_close(ours[: len(state)] if ours.ndim else ours, state)
    assert graphs() == before
    assert alone == ([1] if over == 'clip' else [])


def test_every_encoder_fusion_and_context_is_among_the_cases() -> None:
    tried = {'ConcatFusion'}  # of models that name no fusion
    for name, _, front in CASES:
        after = front.get('context', CONTEXTS[name])
        parts = [*after, *front.get('encoders', {}).values(), front.get('fusion', {})]
        tried |= {part['type'] for part in parts if part}
    assert tried == {*contexts.__all__, *encoders.__all__, *fusions.__all__}


@pytest.mark.parametrize(('over', 'taken'), [('batch', 11), ('clip', 10)])
def test_the_commonest_shape_is_compiled(over: str, taken: int) -> None:
    """Many short clips in a batch are no reason to compute as many long ones in each."""
    lengths = [250] * 20 + [27] * 18 + [200, 200, 100]
    clips = [SimpleNamespace(start=0, stop=n) for n in lengths]
    items = [{'data_sample': SimpleNamespace(valid=torch.ones(n))} for n in lengths]
    groups = [*([i, i + 1] for i in range(0, 20, 2)), range(20, 38), [38, 39], [40]]
    batches = [[ClipRequest(i) for i in group] for group in groups]

    dataset, sampler = MagicMock(clips=clips), MagicMock()
    dataset.__getitem__.side_effect = lambda request: items[request.clip]
    sampler.__iter__.side_effect = lambda: iter(batches)
    loader: Any = SimpleNamespace(batch_sampler=sampler, dataset=dataset)
    head = {'type': 'RegressionHead', 'layers': [8], 'losses': [{'type': 'CCCLoss', 'over': over}]}
    model = build('transformer', head=head).train()
    step = CompiledStep(model, 'default', *commonest(batch_shapes(loader)))
    assert step.coverage(loader) == f'{taken} of 13 batches of training, as 2 x 250 frames'


def test_settings_are_checked() -> None:
    load = partial(load_config, tiny_config('transformer'))
    assert not config_problems(load({'compile': None}))
    text = '\n'.join(config_problems(load({'compile': {'mode': 'fast', 'speed': 1}})))
    assert 'compile.speed: there is no such setting' in text
    assert 'compile.mode' in text
    assert "'reduce-overhead'" in text
    assert 'compile: must be' in '\n'.join(config_problems(load({'compile': True})))


def test_modes_are_those_of_torch() -> None:
    for mode in get_args(GROUPS['compile']['mode']):
        torch.compile(abs, mode=mode)  # looks at its mode at once
