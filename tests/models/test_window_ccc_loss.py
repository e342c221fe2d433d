"""The loss per window: the reference's numbers, and windows of which little or nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from abawfw.models.losses import WindowCCCLoss


@pytest.fixture(scope='module')
def numbers(golden_tagf: Path) -> dict[str, np.ndarray]:
    with np.load(golden_tagf / 'ccc_loss.npz') as stored:
        return {name: stored[name] for name in stored.files}


def whole(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


def test_reference_value_and_gradient(numbers: dict[str, np.ndarray]) -> None:
    gold, pred = (torch.from_numpy(numbers[name]) for name in ('gold', 'pred'))
    pred.requires_grad_()
    loss = WindowCCCLoss()(pred, gold, whole(pred))
    loss.backward()
    np.testing.assert_allclose(loss.item(), numbers['loss'], rtol=1e-6)
    np.testing.assert_allclose(pred.grad, numbers['grad_pred'], rtol=1e-4, atol=1e-9)
    for window, expected in enumerate(numbers['per_window']):
        one = slice(window, window + 1)
        value = WindowCCCLoss()(pred[one], gold[one], whole(pred[one]))
        assert value.item() == pytest.approx(expected, rel=1e-6)


def test_reference_value_of_perfect_predictions(numbers: dict[str, np.ndarray]) -> None:
    gold = torch.from_numpy(numbers['gold'])[:1]
    value = WindowCCCLoss()(gold, gold, whole(gold)).item()
    assert value == pytest.approx(numbers['perfect'].item(), abs=1e-7)
    assert value == pytest.approx(1 / 300, abs=1e-7)


def plain(pred: np.ndarray, label: np.ndarray) -> float:
    n = len(pred)
    covariance = ((pred - pred.mean()) * (label - label.mean())).sum() / n
    spread = pred.var(ddof=1) + label.var(ddof=1) + (pred.mean() - label.mean()) ** 2
    return 1 - 2 * covariance / spread


@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 12), st.floats(0, 1))
def test_is_the_plain_definition_over_the_known_frames(
    seed: int, batch: int, time: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    pred, label = rng.normal(size=(2, batch, time, 2))
    mask, known = rng.random((batch, time)) < 0.8, rng.random((batch, time, 2)) < share
    label = np.where(known, label, np.nan)
    pred[~mask] = np.nan
    targets = []
    for target in range(2):
        frames = [mask[b] & known[b, :, target] for b in range(batch)]
        each = [plain(pred[b, f, target], label[b, f, target]) for b, f in enumerate(frames) if f.sum() >= 2]
        targets += [np.mean(each)] if each else []
    tensor = torch.from_numpy(pred).float().requires_grad_()
    value = WindowCCCLoss()(tensor, torch.from_numpy(label).float(), torch.from_numpy(mask))
    assert value.item() == pytest.approx(np.mean(targets) if targets else 0.0, rel=1e-3, abs=1e-4)
    value.backward()
    assert torch.isfinite(tensor.grad).all()
    assert not tensor.grad[torch.from_numpy(~(known & mask[..., None]))].any()


def test_gradient_is_that_of_the_definition() -> None:
    torch.manual_seed(0)
    label = torch.randn(2, 9, 2)
    label[0, 3:] = float('nan')
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 7:] = False
    pred = torch.randn(2, 9, 2, requires_grad=True)
    WindowCCCLoss()(pred, label, mask).backward()
    base, step = pred.detach().double().numpy(), 1e-5
    for index in np.ndindex(2, 9, 2):
        values = []
        for sign in (1, -1):
            moved = base.copy()
            moved[index] += sign * step
            known = (~label.isnan() & mask[..., None]).numpy()
            values.append(
                np.mean(
                    [
                        plain(moved[b, known[b, :, k], k], label[b, :, k][known[b, :, k]].double().numpy())
                        for b in range(2)
                        for k in range(2)
                    ]
                )
            )
        expected = (values[0] - values[1]) / (2 * step)
        assert pred.grad[index].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize('value', [0.0, 0.3, -0.7, 1e-4, 1e-30])
def test_equal_constants_are_one_without_gradient(value: float) -> None:
    label = torch.full((1, 300, 1), value)
    pred = label.clone().requires_grad_()
    loss = WindowCCCLoss()(pred, label, whole(pred))
    loss.backward()
    assert loss.item() == 1.0
    assert not pred.grad.any()


def test_a_flat_window_beside_another_leaves_its_gradient_alone(numbers: dict[str, np.ndarray]) -> None:
    gold, pred = (torch.from_numpy(numbers[name])[:2].clone() for name in ('gold', 'pred'))
    gold[1] = pred[1] = 0.0
    pred.requires_grad_()
    loss = WindowCCCLoss()(pred, gold, whole(pred))
    loss.backward()
    assert loss.item() == pytest.approx((numbers['per_window'][0] + 1) / 2, rel=1e-6)
    np.testing.assert_allclose(pred.grad[0], numbers['grad_pred'][0] * 2, rtol=1e-4, atol=1e-9)
    assert not pred.grad[1].any()


@pytest.mark.parametrize(('gold', 'pred'), [(0.3, None), (None, 0.3), (0.3, -0.2)])
def test_other_constants_are_one(
    numbers: dict[str, np.ndarray], gold: float | None, pred: float | None
) -> None:
    both = [
        torch.from_numpy(numbers[name])[:1] if value is None else torch.full((1, 300, 1), value)
        for name, value in (('gold', gold), ('pred', pred))
    ]
    label, prediction = both[0], both[1].clone().requires_grad_()
    loss = WindowCCCLoss()(prediction, label, whole(label))
    loss.backward()
    assert loss.item() == pytest.approx(1.0, abs=1e-6)
    assert torch.isfinite(prediction.grad).all()


def test_tiny_spreads_have_finite_gradients() -> None:
    for scale in (1e-3, 1e-6, 1e-9, 1e-12, 1e-20, 1e-38):
        pred, label = (scale * torch.randn(2, 1, 50, 1)).unbind(0)
        pred.requires_grad_()
        WindowCCCLoss()(pred, label, whole(pred)).backward()
        assert torch.isfinite(pred.grad).all(), scale


def test_one_known_frame_in_all_the_batch_is_zero() -> None:
    pred, label = torch.randn(2, 5, 1, requires_grad=True), torch.full((2, 5, 1), float('nan'))
    label[1, 2] = 0.5
    loss = WindowCCCLoss()(pred, label, whole(pred))
    loss.backward()
    assert loss.item() == 0.0
    assert not pred.grad.any()
