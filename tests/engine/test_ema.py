"""The average of weights: the reference's numbers, what is saved of it, and runs that go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from same_run import assert_same_run
from torch import nn

from abawfw.checkpoints import load_checkpoint
from abawfw.engine.hooks import EMAHook

SETTINGS = {'every1': {}, 'every3': {'every': 3}, 'start2': {'start': 2}}


@pytest.mark.parametrize('name', SETTINGS)
def test_the_numbers_of_the_reference(golden_2025: Path, name: str) -> None:
    with np.load(golden_2025 / 'ras/ema.npz') as stored:
        golden = {k: torch.from_numpy(v) for k, v in stored.items()}
    model = nn.Linear(3, 1, bias=False)
    hook = EMAHook(decay=0.9, **SETTINGS[name])
    runner: Any = SimpleNamespace(model=model, hooks=[hook], epoch=0, iter=0, max_epochs=3)
    hook.before_train(runner)
    for epoch in range(3):
        for _ in range(4):
            trained = golden['weights_after_step'][runner.iter]
            model.weight.data.copy_(trained)
            runner.iter += 1
            hook.after_iter(runner)
            found = hook.average[0][0] if hook.average else torch.full((3,), torch.nan)
            torch.testing.assert_close(found, golden[f'{name}_ema'][runner.iter - 1], equal_nan=True)
        runner.epoch += 1
        hook.after_train_epoch(runner)
        torch.testing.assert_close(model.weight.data[0], golden[f'{name}_eval_weights'][epoch])
        hook.between_epochs(runner)
        assert torch.equal(model.weight.data[0], trained)


def ema(**arguments: Any) -> dict[str, Any]:
    return {'custom_hooks': [{'type': 'EMAHook', **arguments}]}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)['state_dict']


@pytest.fixture(scope='module')
def whole(train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp('ema') / 'run'
    found = train(run, **ema(decay=0.8))
    assert found['codes'] == [0], found['output']
    return run


def test_the_best_weights_are_the_average_and_training_goes_on_without(whole: Path, original: Path) -> None:
    trained = weights(original / 'epoch_3.pth')
    assert all(torch.equal(v, trained[k]) for k, v in weights(whole / 'epoch_3.pth').items())
    (best,) = whole.glob('best_ccc_epoch_*.pth')
    state, kept = load_checkpoint(whole / best.name.removeprefix('best_ccc_')), weights(best)
    average = state['hooks']['EMAHook']['average']
    names = [k for k, v in kept.items() if v.is_floating_point() and 'running' not in k]
    assert all(torch.equal(kept[k], v) for k, v in zip(names, average, strict=True))
    assert any(not torch.equal(kept[k], state['state_dict'][k]) for k in names)


def test_resumed_it_ends_alike(whole: Path, train, tmp_path: Path) -> None:
    resumed = tmp_path / 'resumed'
    resumed.mkdir()
    for path in [whole / 'epoch_2.pth', *whole.glob('best_*')]:
        shutil.copy(path, resumed)
    assert train(resumed, job={'resume': True}, **ema(decay=0.8))['codes'] == [0]
    assert_same_run(whole, resumed)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (ema(decay=1), 'custom_hooks[0].decay: must be below 1, not 1'),
        (
            {'custom_hooks': [{'type': 'EMAHook', 'decay': 0.9}, {'type': 'ReloadBestHook'}]},
            'EMAHook and ReloadBestHook',
        ),
        ({'custom_hooks': [{'type': 'EMAHook', 'decay': x} for x in (0.9, 0.5)]}, 'EMAHook stands twice'),
        (ema(decay=0.9, start=9), 'training ends after 3 epochs, before the average begins'),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str, train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', **settings)
    assert found['codes'] != [0]
    assert message in found['output']
    assert 'Traceback' not in found['output']
    assert not (tmp_path / 'run/config.py').exists()  # said before anything is written


def test_an_average_that_never_begins_is_said(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', **ema(decay=0.9, every=100000))
    assert found['codes'] == [0]
    assert 'EMAHook(every=100000, start=1): training ended after' in found['output']
