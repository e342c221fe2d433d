"""The learning rate of Mamba-VA, against the reference's traces and the rule in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from abawfw.engine.schedulers import CosineRestartsLR
from abawfw.engine.training_state import _load_schedule
from abawfw.registry import PARAM_SCHEDULERS


def rates(epochs: int, batches: int, lr: float, resumed: bool = False, **arguments: int | str) -> np.ndarray:
    def build() -> tuple:
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        with DefaultScope.overwrite_default_scope('abawfw'):
            cfg = {'type': 'CosineRestartsLR', **arguments}
            return optimizer, PARAM_SCHEDULERS.build(cfg, default_args={'optimizer': optimizer})

    optimizer, schedule = build()
    found = np.empty((epochs, batches))
    for epoch in range(epochs):
        if resumed:
            state = {name: schedule.state_dict()[name] for name in schedule.position}  # as a run does
            optimizer, schedule = build()
            schedule.load_state_dict(state)
        for batch in range(batches):
            schedule.before_batch(batch, batches)
            found[epoch, batch] = optimizer.param_groups[0]['lr']
        schedule.step()
    return found


@pytest.mark.parametrize('resumed', [False, True])
@pytest.mark.parametrize('name', ['schedule', 'schedule_50_5'])
def test_traces_of_the_reference(golden_mamba_va: Path, name: str, resumed: bool) -> None:
    with np.load(golden_mamba_va / f'{name}.npz') as golden:
        epochs, warmup, lr, expected = (golden[k] for k in ('epochs', 'warmup', 'base', 'lr'))
    arguments = {'warmup': int(warmup), 'period': int(epochs - warmup + 1), 'unit': 'batch'}
    found = rates(int(epochs), expected.shape[1], float(lr), resumed, **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_counted_in_epochs_there_is_one_cosine_from_the_full_rate_to_nothing() -> None:
    found = rates(14, 10, 1e-3, warmup=2, period=4)
    after = found[2:].flatten()
    assert (np.diff(found[:2].flatten()) > 0).all()
    assert after[0] == pytest.approx(1e-3, rel=1e-4)
    assert after[20] == pytest.approx(0.5e-3, rel=1e-3)  # half of the four epochs
    assert (np.diff(after[:40]) < 0).all()
    assert after[40] == pytest.approx(1e-3, rel=1e-4)  # and again, for eight
    assert (np.diff(after[40:120]) < 0).all()


def built(lr: float, **arguments: int | str) -> tuple[torch.optim.Optimizer, CosineRestartsLR]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    return optimizer, CosineRestartsLR(optimizer, **arguments)


def test_a_resumed_run_keeps_its_rate_and_takes_the_length_of_its_config() -> None:
    """As the log of the run says: more epochs make the cosine longer."""
    _, before = built(1e-3, warmup=2, period=4)
    for _ in range(3):
        before.step()  # one epoch of the cosine is over
    optimizer, after = built(5e-4, warmup=2, period=8)
    _load_schedule(after, before.state_dict())
    after.before_batch(5, 10)
    at = 1.5 / 8
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.5e-3 * (1 + np.cos(np.pi * at)), rel=1e-4)


def test_states_of_before_have_the_epochs_alone() -> None:
    optimizer, after = built(5e-4, warmup=1, period=4)
    _load_schedule(after, {'epochs': 3})
    after.before_batch(0, 10)
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.25e-3, rel=1e-3)  # half of the four


@pytest.mark.parametrize(('name', 'value'), [('base_rates', []), ('base_rates', 'x'), ('epochs', None)])
def test_what_no_schedule_has_is_refused(name: str, value: object) -> None:
    _, schedule = built(5e-4, warmup=1, period=4)
    with pytest.raises(ValueError, match=f'{name} is '):
        _load_schedule(schedule, {**schedule.state_dict(), name: value})


def test_without_warm_up() -> None:
    assert rates(1, 4, 1e-3, warmup=0, period=2)[0, 0] == pytest.approx(1e-3)
