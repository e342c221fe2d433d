"""The learning rate of TAGF's family, against the reference's traces and the rule in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DefaultScope
from torch import nn

from abawfw.engine.optim import VAOptimWrapper
from abawfw.engine.schedulers import WarmupPlateauLR
from abawfw.errors import ConfigError
from abawfw.registry import PARAM_SCHEDULERS

LR = 1e-4


def build(lrs: tuple[float, ...] = (LR,), **arguments: Any) -> tuple[VAOptimWrapper, WarmupPlateauLR]:
    groups = [{'params': [nn.Parameter(torch.zeros(1))], 'lr': lr} for lr in lrs]
    wrapper = VAOptimWrapper(torch.optim.Adam(groups, lr=LR))
    with DefaultScope.overwrite_default_scope('abawfw'):
        cfg = {'type': 'WarmupPlateauLR', **arguments}
        return wrapper, PARAM_SCHEDULERS.build(cfg, default_args={'optimizer': wrapper})


def rate(wrapper: VAOptimWrapper) -> float:
    return wrapper.get_lr()['lr'][0]


@pytest.mark.parametrize('resumed', [False, True])
@pytest.mark.parametrize(
    ('suffix', 'warmup', 'best'), [('', 5, None), ('_init12_best030', 5, 0.3), ('_warm0', 0, None)]
)
def test_traces_of_the_reference(
    golden_tagf: Path, suffix: str, warmup: int, best: float | None, resumed: bool
) -> None:
    golden = np.load(golden_tagf / 'scheduler.npz')
    arguments = {'warmup': warmup, 'patience': 5, 'factor': 0.1, 'restarting': True}
    wrapper, schedule = build(**arguments)
    if best is not None:  # released after twelve epochs, the best of which had this score
        for score in np.linspace(0, best, 12):
            schedule.after_validation(float(score))
        schedule.restart()
    batches, found, of_batches = int(golden['num_batches']), [], []
    for epoch, score in enumerate(golden['val_ccc']):
        if resumed:
            states = wrapper.state_dict(), schedule.state_dict()
            wrapper, schedule = build(**arguments)
            wrapper.load_state_dict(states[0])
            schedule.load_state_dict(states[1])
        rates = []
        for batch in range(batches):
            schedule.before_batch(batch, batches)
            rates.append(rate(wrapper))
        schedule.after_validation(float(score))
        found.append([epoch, rates[-1], rate(wrapper), schedule.waited, schedule.best])
        of_batches.append(rates)
    trace = golden[f'trace{suffix}']
    np.testing.assert_allclose(found, trace[:, [2, 3, 4, 5, 6]], rtol=1e-12)
    name = f'batch_lr{suffix.removesuffix("_best030")}'
    np.testing.assert_allclose(of_batches, golden[name], rtol=1e-12)


def test_linear_warm_up_over_every_batch() -> None:
    wrapper, schedule = build(warmup=3)
    found = []
    for _ in range(4):
        for batch in range(4):
            schedule.before_batch(batch, 4)
            found.append(rate(wrapper))
        schedule.after_validation(0.1)
    np.testing.assert_allclose(found, [LR * min(1, (i + 1) / 12) for i in range(16)], rtol=1e-12)


def test_epochs_of_unequal_length_warm_up_without_a_jump() -> None:
    wrapper, schedule = build(warmup=2)
    found = []
    for batches in (3, 5):
        for batch in range(batches):
            schedule.before_batch(batch, batches)
            found.append(rate(wrapper))
        schedule.after_validation(0.1)
    np.testing.assert_allclose(found[:3], LR * np.arange(1, 4) / 6, rtol=1e-12)
    np.testing.assert_allclose(found[3:], LR * (0.5 + np.arange(1, 6) / 10), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, float('nan')]), min_size=1, max_size=25),
    warmup=st.integers(0, 3),
    patience=st.integers(0, 3),
    restart=st.integers(0, 25),
    resume=st.integers(0, 25),
)
def test_the_rule_in_words(
    scores: list[float], warmup: int, patience: int, restart: int, resume: int
) -> None:
    """Rates of each epoch, from the scores alone; building the schedule anew somewhere changes nothing."""
    arguments = {'warmup': warmup, 'patience': patience, 'factor': 0.5}
    wrapper, schedule = build((1.0, 0.01), **arguments)
    best, since, drops, age = -np.inf, 0, 0, 0
    for epoch, score in enumerate(scores):
        if epoch == restart:
            schedule.restart()
            since = drops = age = 0
        if epoch == resume:
            state = schedule.state_dict()
            wrapper, schedule = build((1.0, 0.01), **arguments)
            schedule.load_state_dict(state)
        schedule.before_batch(0, 1)
        share = (age + 1) / warmup if age < warmup else 0.5**drops
        np.testing.assert_allclose(wrapper.get_lr()['lr'], [share, 0.01 * share], rtol=1e-12)
        schedule.after_validation(score)
        age += 1
        if score > best:
            best, since = score, 0
        elif age > warmup:
            since += 1
        if since == patience + 1:
            drops, since = drops + 1, 0
        assert schedule.is_below(0.3) == (age > warmup and 0.5**drops < 0.3)


def test_below_the_smallest_rate_only_after_the_fifth_drop() -> None:
    """Four drops of 1e-4 by .1 round to a hair above 1e-8, in the reference as well."""
    _, schedule = build(warmup=0, patience=0)
    below = []
    for _ in range(6):
        schedule.after_validation(float('nan'))
        below.append(schedule.is_below(1e-8))
    assert below == [False] * 4 + [True] * 2


@pytest.mark.parametrize('wrong', [{'warmup': -1}, {'patience': -1}, {'factor': 1.0}, {'factor': 0.0}])
def test_arguments_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf'WarmupPlateauLR\(.*{next(iter(wrong))}='):
        build(**wrong)


def test_a_plateau_of_one_group_is_the_reference_s(golden_2025: Path) -> None:
    """Of team RAS: only the head's rate falls, after epochs not better by a fraction of the best score."""
    golden = np.load(golden_2025 / 'ras/plateau_named.npz')
    wrapper = grouped({'backbone': 5e-6, 'head': 2e-4})
    schedule = WarmupPlateauLR(wrapper, 0, 2, 0.5, groups=['head'], threshold=5e-4, lowest=1e-7)
    found = []
    for score in golden['metric']:
        schedule.after_validation(float(score))
        found.append(wrapper.get_lr()['lr'])
    np.testing.assert_allclose(found, golden['lr_after'], rtol=1e-12)


def grouped(rates: dict[str, float]) -> VAOptimWrapper:
    groups = [{'params': [nn.Parameter(torch.zeros(1))], 'lr': lr, 'name': n} for n, lr in rates.items()]
    return VAOptimWrapper(torch.optim.Adam(groups, lr=LR))


def test_no_rate_falls_below_the_lowest_nor_rises_to_it() -> None:
    wrapper = grouped({'a': 1e-3, 'b': 1e-6})
    schedule = WarmupPlateauLR(wrapper, 0, 0, 0.1, lowest=1e-5)
    for _ in range(5):
        schedule.after_validation(0.1)
    assert wrapper.get_lr()['lr'] == [1e-5, 1e-6]


def test_a_part_falls_with_what_patterns_take_out_of_it() -> None:
    wrapper = grouped(
        {'head *.bias': 1e-4, 'head': 2e-4, 'head.out': 3e-4, 'header': 4e-4, 'fusion *.bias': 5e-4}
    )
    part = WarmupPlateauLR(wrapper, 0, 0, 0.1, groups=['head'])
    for _ in range(3):  # the first score is the best
        part.after_validation(0.1)
    np.testing.assert_allclose(wrapper.get_lr()['lr'], [1e-6, 2e-6, 3e-4, 4e-4, 5e-4], rtol=1e-12)
    assert part.is_below(3e-6)
    alone = grouped({'head': 2e-4, 'head *.bias': 1e-4})
    schedule = WarmupPlateauLR(alone, 0, 0, 0.1, groups=['head *.bias'])
    for _ in range(2):
        schedule.after_validation(0.1)
    np.testing.assert_allclose(alone.get_lr()['lr'], [2e-4, 1e-5], rtol=1e-12)


def test_a_group_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"no parameter group is called 'haed'.*head"):
        WarmupPlateauLR(grouped({'head': LR}), groups=['haed'])
