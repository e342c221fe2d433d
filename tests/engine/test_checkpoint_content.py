"""Checkpoints that are well-formed and wrong inside: every key is compared when the file is read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmengine.device.utils
import numpy as np
import pytest
import torch
from tiny_runs import tiny_config, tiny_overrides

from abawfw.apis.train import build_runner
from abawfw.checkpoint_content import check_content
from abawfw.checkpoints import (
    DamagedCheckpointError,
    check_position,
    load_checkpoint,
    load_state_dict,
    save_checkpoint,
)
from abawfw.config.loading import load_config
from abawfw.engine import training_state
from abawfw.engine.training_state import restore, set_random_state
from abawfw.errors import AbawfwError, CheckpointError, TrainingError

MODEL = 'transformer_attention'  # carries state from clip to clip
DROP = object()


@pytest.fixture(scope='module')
def run(train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a training state in mid-epoch."""
    run = tmp_path_factory.mktemp('states') / 'run'
    found = train(run, MODEL, epochs=1, **{'default_hooks.checkpoint.batches': 2})
    assert found['codes'] == [0], found['output']
    return run


@pytest.fixture(scope='module')
def state(run: Path) -> dict[str, Any]:
    return load_checkpoint(max(run.glob('epoch_0_batch_*.pth')))


@pytest.fixture(scope='module')
def runner(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a resumed run restores the state into."""
    cfg = load_config(tiny_config(MODEL), tiny_overrides(MODEL, tiny_data, epochs=1))
    runner = build_runner(cfg, tmp_path_factory.mktemp('resumed'), log_level='ERROR')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    return runner


def changed(value: Any, path: list[Any], new: Any) -> Any:
    """The same nest with one value replaced, or removed; what else is in it is shared."""
    if not path:
        return new
    key = int(path[0]) if isinstance(value, (list, tuple)) else path[0]
    if isinstance(value, dict) and key not in value and str(key).isdigit():
        key = int(key)
    copied = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is DROP:
        del copied[key]
    else:
        copied[key] = changed(value[key], path[1:], new) if len(path) > 1 else new
    return copied


def test_a_state_is_as_it_was_written(run: Path, state: dict[str, Any], runner: Any) -> None:
    for path in run.glob('*.pth'):
        check_position(path, load_checkpoint(path))
    load_state_dict(runner.model, state['state_dict'], Path('x.pth'))
    restore(runner, copy.deepcopy(state), Path('x.pth'))
    again = training_state.capture(runner)
    for key in ('released', 'param_schedulers', 'hooks'):
        assert again[key] == state[key]
    assert again['ranks'][0]['lanes'].keys() == state['ranks'][0]['lanes'].keys()


NAN = float('nan')
INTS = torch.zeros(3, dtype=torch.int64)
# Key and value -> what the error says, when the file is read.
READ: list[tuple[str, Any, str]] = [
    ('meta', None, 'meta is None, expected a dict'),
    ('meta', DROP, 'meta is missing'),
    ('meta.epoch', 'two', "meta.epoch is 'two', expected a whole number from 0"),
    ('meta.epoch', -3, 'meta.epoch is -3, expected a whole number from 0'),
    ('meta.epoch', True, 'meta.epoch is True'),
    ('meta.epoch', NAN, 'meta.epoch is nan'),
    ('meta.epoch', DROP, 'meta.epoch is missing'),
    ('meta.iter', 1.5, 'meta.iter is 1.5'),
    ('meta.batch', 1 << 60, 'meta.batch is'),
    ('meta.config', DROP, 'meta.config is missing'),
    ('meta.config', 3, 'meta.config is 3, expected text'),
    ('meta.config', 'a = = 3', 'meta.config is no config'),
    ('meta.config', '(' * 10_000, 'meta.config is no config'),
    ('meta.targets', 'valence', "meta.targets is 'valence', expected valence, arousal, or both"),
    ('meta.targets', ['arousal', 'valence'], 'meta.targets is of type list'),
    ('meta.input_dims', [1], 'meta.input_dims is of type list, expected a dict'),
    ('meta.input_dims', {'a': 0}, 'meta.input_dims.a is 0'),
    ('meta.input_dims', {'a': 1 << 40}, 'meta.input_dims.a asks for frames of more than'),
    ('meta.input_dims', {'a': [1 << 20, 1 << 20]}, 'meta.input_dims.a asks for frames of more than'),
    ('meta.fitted', [{'a': [1.0, 2.0]}], 'meta.fitted.0.a.0 is 1.0, expected a tensor'),
    ('meta.fitted', [{'a': [torch.ones(2), torch.ones(3)]}], 'of two shapes'),
    ('meta.fitted', [{'a': [torch.ones(2), torch.ones(2) * NAN]}], 'are not finite'),
    ('meta.extraction', {'a': 3}, 'meta.extraction.a is 3, expected a dict'),
    ('state_dict', DROP, 'state_dict is missing'),
    ('state_dict', [], 'state_dict is of type list, expected a dict'),
    ('state_dict', {'w': 3}, 'state_dict.w is 3, expected a tensor'),
    ('state_dict', {3: INTS}, 'a key of state_dict is 3, expected text'),
    ('videos', None, 'videos is None'),
    ('videos.train', 'abc', "videos.train is 'abc', expected a list"),
    ('videos.val', DROP, 'videos.val is missing'),
    ('videos.val.0', 3, 'videos.val.0 is 3, expected text'),
    ('released', DROP, 'released is missing'),
    ('released', 'head', "released is 'head'"),
    ('optimizer', DROP, 'optimizer is missing'),
    ('optimizer.state', [], 'optimizer.state is of type list'),
    ('optimizer.state.0', 3, 'optimizer.state.0 is 3'),
    ('optimizer.param_groups', [], 'optimizer.param_groups is of type list, expected a list of at least 1'),
    ('optimizer.param_groups.0.params', [0, 0], 'optimizer.param_groups: its parameters are not numbered'),
    ('optimizer.param_groups.0.lr', DROP, 'optimizer.param_groups.0.lr is missing'),
    ('optimizer.base_param_settings', 'x', 'optimizer.base_param_settings is'),
    ('param_schedulers', {}, 'param_schedulers is of type dict'),
    ('param_schedulers.0', 3, 'param_schedulers.0 is 3'),
    ('hooks', DROP, 'hooks is missing'),
    ('hooks.VACheckpointHook', None, 'hooks.VACheckpointHook is None'),
    ('hooks.VACheckpointHook.best', DROP, 'hooks.VACheckpointHook.best is missing'),
    ('hooks.VACheckpointHook.best', {'ccc': {'score': 'x'}}, "best.ccc.score is 'x'"),
    ('hooks.EpochLogHook.rows', 'x', 'hooks.EpochLogHook.rows is'),
    ('hooks.EpochLogHook.rows', [{'epoch': 1, 'loss': 'x'}], 'hooks.EpochLogHook.rows.0.loss is'),
    ('hooks.EarlyStopHook', {'best': 0.5, 'epochs': 1}, 'hooks.EarlyStopHook.waited is missing'),
    ('hooks.EarlyStopHook.1', {'best': 'x', 'epochs': 1, 'waited': 0}, 'hooks.EarlyStopHook.1.best is'),
    ('ranks', [], 'ranks is of type list, expected a list of at least 1'),
    ('ranks.0', None, 'ranks.0 is None'),
    ('ranks.0.random', DROP, 'ranks.0.random is missing'),
    ('ranks.0.random.torch', INTS, 'ranks.0.random.torch is torch.int64 of shape'),
    ('ranks.0.random.torch', torch.zeros(7, dtype=torch.uint8), 'random.torch is no state of a generator'),
    ('ranks.0.random.cuda', [INTS], 'ranks.0.random.cuda.0 is torch.int64'),
    ('ranks.0.random.python', [3, [1, 2], None], 'random.python is no state of a generator'),
    ('ranks.0.random.python', [3, ['x'], None], "random.python.1.0 is 'x'"),
    ('ranks.0.random.numpy', [torch.full((624,), -1), 0, 0, 0.0], 'random.numpy.0 is no state'),
    ('ranks.0.random.numpy', [torch.zeros(624, dtype=torch.int64), 999, 0, 0.0], 'random.numpy.1 is 999'),
    ('ranks.0.lanes', {'0.position': 3}, 'ranks.0.lanes.0.position is 3, expected a tensor'),
    ('ranks.0.lanes', {'x': INTS}, 'ranks.0.lanes.x is no part of a lane'),
    ('ranks.0.lanes', {'0.state.0.0': torch.zeros(3)}, 'ranks.0.lanes.0.video_id is missing'),
    ('ranks.0.lanes.0.position', torch.tensor(-1), 'ranks.0.lanes.0.position is -1'),
    ('ranks.0.lanes.0.video_id', torch.tensor([255], dtype=torch.uint8), 'lanes.0.video_id is no name'),
    ('ranks.0.buffers', [1], 'ranks.0.buffers is of type list'),
    ('ranks.0.hooks.TrainingMetricHook.sums', torch.zeros(5, 6, dtype=torch.float64), 'a row per target'),
    ('ranks.0.hooks.TrainingMetricHook.counts', torch.zeros(5), 'counts is torch.float32 of shape'),
]


def keys_of(key: str) -> list[str]:
    """Parts of a dotted key; names of hooks' turns and of lanes hold dots themselves."""
    start, _, rest = key.partition('lanes.')
    if rest:
        return [*start.rstrip('.').split('.'), 'lanes', rest]
    if key == 'hooks.EarlyStopHook.1':
        return ['hooks', 'EarlyStopHook.1']
    return key.split('.')


@pytest.mark.parametrize(('key', 'value', 'message'), READ, ids=[f'{k}-{m}'[:70] for k, _, m in READ])
def test_wrong_values_are_named_when_the_file_is_read(
    tmp_path: Path, state: dict[str, Any], key: str, value: Any, message: str
) -> None:
    spoilt = changed(state, keys_of(key), value)
    path = tmp_path / 'epoch_3.pth'
    torch.save(spoilt, path)
    with pytest.raises(DamagedCheckpointError) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert text.startswith(f'{path}: ')
    assert message in text
    assert text.endswith('it is not as training writes it: take another checkpoint')
    assert '\n' not in text


# Key and value -> what the error says, when a run takes over the state.
RESTORED: list[tuple[str, Any, str]] = [
    ('meta.targets', ['valence'], 'estimates valence, the config valence and arousal'),
    ('optimizer.state.0.exp_avg', torch.zeros(2), 'optimizer.state.0.exp_avg is (2,), its parameter'),
    ('optimizer.state.0.exp_avg', None, 'optimizer.state.0.exp_avg is NoneType'),
    ('optimizer.state.0.exp_avg_sq', DROP, 'optimizer.state.0 lacks exp_avg_sq'),
    ('optimizer.state.0.step', 'x', 'optimizer.state.0.step is no number of updates'),
    ('optimizer.state.0.step', torch.tensor(-1.0), 'optimizer.state.0.step is no number of updates'),
    ('optimizer.state', {999: {}}, 'optimizer.state.999 is of no parameter'),
    ('optimizer.param_groups.0.lr', 'x', "optimizer.param_groups.0.lr is 'x'"),
    ('optimizer.param_groups.0.lr', -1e-3, 'optimizer.param_groups.0.lr is -0.001'),
    ('optimizer.param_groups.0.lr', NAN, 'optimizer.param_groups.0.lr is nan'),
    ('optimizer.param_groups.0.betas', [0.9], 'optimizer.param_groups.0.betas is [0.9]'),
    ('optimizer.param_groups.0.betas', [0.9, 1.5], 'optimizer.param_groups.0.betas is 1.5'),
    ('optimizer.param_groups.0.eps', DROP, 'optimizer.param_groups.0.eps is None'),
    ('param_schedulers.0.last_step', None, 'param_schedulers: last_step is None'),
    ('param_schedulers.0.last_step', DROP, 'last_step'),
    ('param_schedulers.0.base_values', [], 'param_schedulers: base_values is []'),
    ('param_schedulers', [], 'another optimiser or schedule'),
    ('ranks.0.lanes.0.state.0.0', torch.zeros(2, 3), 'its lane state 0.state.0.0 of shape (2, 3) is not one'),
    ('ranks.0.lanes.0.state.0.0', DROP, 'its lane 0 has the states'),
    ('ranks.0.buffers', {'none': INTS}, 'its buffer none of shape (3,) is not one of the model'),
]


@pytest.mark.parametrize(('key', 'value', 'message'), RESTORED, ids=[f'{k}-{m}'[:70] for k, _, m in RESTORED])
def test_what_does_not_fit_the_run_is_named_when_it_goes_on(
    state: dict[str, Any], runner: Any, key: str, value: Any, message: str
) -> None:
    spoilt = copy.deepcopy(changed(state, keys_of(key), value))
    with pytest.raises(CheckpointError) as caught:
        restore(runner, spoilt, Path('epoch_3.pth'))
    text = str(caught.value)
    assert text.startswith('epoch_3.pth: ')
    assert message in text


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    """Places in a nest; of long lists and dicts the first two."""
    if path:
        yield list(path)
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys)[: 12 if len(path) < 2 else 2]:
        yield from leaves(value[key], (*path, key))


def test_nothing_else_than_our_errors_comes_out(state: dict[str, Any], runner: Any) -> None:
    """Whatever stands at any place: it is taken, or refused with a sentence."""
    taken = 0
    refusals = []
    for path in leaves(state):
        for value in (DROP, None, 'x', {'a': -1}):
            spoilt = changed(state, path, value)
            try:
                check_content(spoilt)
                restore(runner, copy.deepcopy(spoilt), Path('epoch_3.pth'))
            except (ValueError, AbawfwError) as error:
                refusals.append(str(error))
            else:
                taken += 1
    assert not any('\n' in refusal for refusal in refusals)
    assert len(refusals) > 200
    assert taken < len(refusals) / 4


def test_a_hook_that_cannot_take_its_state_is_named(
    state: dict[str, Any], runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = next(h for h in runner.hooks if type(h).__name__ == 'EpochLogHook')
    monkeypatch.setattr(hook, 'load_state_dict', lambda state: state['more'])
    with pytest.raises(CheckpointError, match=r"a\.pth: EpochLogHook cannot take over .*KeyError: 'more'"):
        restore(runner, copy.deepcopy(state), Path('a.pth'))


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (np.float64(0.5), 'hooks.Mine.best is numpy.float64'),
        ({'a': [Path('x')]}, r'hooks.Mine.best.a.0 is pathlib\.\w+'),
        (torch.eye(2).to_sparse(), 'hooks.Mine.best is torch.sparse_coo'),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, state: dict[str, Any], value: Any, message: str
) -> None:
    path = tmp_path / 'epoch_1.pth'
    save_checkpoint(state, path)
    before = path.read_bytes()
    spoilt = changed(state, ['hooks', 'Mine'], {'best': value})
    with pytest.raises(
        TrainingError, match=rf'cannot write .*epoch_1\.pth: {message}.*could not be read back'
    ):
        save_checkpoint(spoilt, path)
    assert path.read_bytes() == before


def test_a_state_under_the_name_of_another(state: dict[str, Any]) -> None:
    with pytest.raises(DamagedCheckpointError, match=r'epoch_7\.pth: holds the state after epoch 0, batch'):
        check_position(Path('epoch_7.pth'), state)
    check_position(Path('mine.pth'), state)


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    load_state_dict(model, weights, tmp_path)
    for name, value in (('0.weight', NAN), ('0.bias', float('inf')), ('1.running_mean', NAN)):
        spoilt = {k: v.clone() for k, v in weights.items()}
        spoilt[name].view(-1)[0] = value
        count = spoilt[name].numel()
        with pytest.raises(CheckpointError, match=rf'{name} is NaN or infinite in 1 of {count} values'):
            load_state_dict(model, spoilt, tmp_path)
    spoilt = {**weights, '0.bias': torch.zeros(3, dtype=torch.int64)}
    with pytest.raises(CheckpointError, match=r'of another type \(1\): 0\.bias: torch\.int64'):
        load_state_dict(model, spoilt, tmp_path)


class Gpus:
    """What of torch.cuda the random state needs, without a GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, visible: int) -> None:
        self.states = [torch.full((16,), -1)] * visible
        monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cuda')
        monkeypatch.setattr(torch.cuda, 'get_rng_state', lambda: self.states[0])
        monkeypatch.setattr(torch.cuda, 'set_rng_state', lambda state: self.states.__setitem__(0, state))


@pytest.mark.parametrize(('saved', 'visible', 'rank', 'taken'), [(4, 1, 0, 0), (4, 2, 1, 1), (1, 4, 3, 0)])
def test_fewer_gpus_than_before(
    monkeypatch: pytest.MonkeyPatch, saved: int, visible: int, rank: int, taken: int
) -> None:
    """A process computes on one GPU: its state is taken over, however many are visible then and now."""
    before = training_state.random_state()
    gpus = Gpus(monkeypatch, visible)
    monkeypatch.setattr(training_state, 'get_rank', lambda: rank)
    states = [torch.full((16,), n, dtype=torch.uint8) for n in range(saved)]
    set_random_state({**before, 'cuda': states})
    assert torch.equal(gpus.states[0], states[taken])
    assert [s[0] for s in training_state.random_state()['cuda']] == [taken]


def test_going_on_without_the_gpu_is_reported(
    state: dict[str, Any], runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(runner.logger, 'warning', told.append)
    spoilt = copy.deepcopy(state)
    restore(runner, copy.deepcopy(state), Path('epoch_3.pth'))
    assert told == []
    spoilt['ranks'][0]['random']['cuda'] = [torch.zeros(16, dtype=torch.uint8)]
    restore(runner, spoilt, Path('epoch_3.pth'))
    assert len(told) == 1
    assert 'epoch_3.pth was written by a run on a GPU, and this one continues on the CPU' in told[0]
