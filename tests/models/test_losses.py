"""Losses against the reference's numbers, and what they do with labels and frames that are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from abawfw.errors import ConfigError
from abawfw.evaluation.functional import ccc
from abawfw.models.heads import HeadOutput, RegressionHead
from abawfw.models.losses import BinnedCrossEntropyLoss, CCCLoss, DistillationLoss, MSELoss, VALoss

# name in the reference -> loss, columns it acts on
TYPES: dict[str, tuple[VALoss, slice]] = {
    'mse': (MSELoss(), slice(None)),
    'vmse': (MSELoss(), slice(0, 1)),
    'amse': (MSELoss(), slice(1, 2)),
    'ccc': (CCCLoss(over='clip'), slice(None)),
    'vccc': (CCCLoss(over='clip'), slice(0, 1)),
    'accc': (CCCLoss(over='clip'), slice(1, 2)),
    'batch_ccc': (CCCLoss(), slice(None)),
    'batch_vccc': (CCCLoss(), slice(0, 1)),
    'batch_accc': (CCCLoss(), slice(1, 2)),
    'ce': (BinnedCrossEntropyLoss(), slice(None)),
}


@pytest.fixture(scope='module')
def numbers(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / 'losses.npz') as stored:
        return {name: stored[name] for name in stored.files}


def reference_case(
    numbers: dict[str, np.ndarray], edge: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    pred, label, mask, logits, classes = (
        torch.from_numpy(numbers[x]) for x in ('pred', 'target', 'mask', 'logits', 'cls_target')
    )
    if edge == 'single_target':
        pred, label = pred[..., :1], label[..., :1]
    if edge == 'perfect':
        pred = label.clone()
    if edge == 'one_valid_frame':
        mask = torch.from_numpy(numbers['mask_one_valid'])
    if edge.startswith('constant'):
        label = torch.full_like(label, 0.25)
    if edge == 'constant_both':
        pred = label.clone()
    return pred.clone().requires_grad_(), label, mask > 0, logits.requires_grad_(), classes


def test_every_golden_value_and_gradient(numbers: dict[str, np.ndarray]) -> None:
    names = [x.removeprefix('loss/') for x in numbers if x.startswith('loss/')]
    seen = 0
    for name in names:
        edge, _, types = name.rpartition('/')
        if types.startswith('parser_default'):
            continue
        pred, label, mask, logits, classes = reference_case(numbers, edge)
        total = torch.zeros(())
        for part, weight in zip(types.split('+'), (1.0, 0.25), strict=False):
            loss, columns = TYPES[part]
            if edge == 'single_target':
                columns = slice(None)
            if part == 'ce':
                total = total + weight * loss(logits.movedim(1, -1), classes, mask)
            else:
                total = total + weight * loss(pred[..., columns], label[..., columns], mask)
        torch.testing.assert_close(
            total.double().item(), float(numbers[f'loss/{name}']), rtol=1e-5, atol=1e-6
        )
        (total + 0 * pred.sum()).backward()
        np.testing.assert_allclose(pred.grad, numbers[f'grad/{name}'], rtol=1e-5, atol=2e-7, err_msg=name)
        if f'gradlogits/{name}' in numbers:
            np.testing.assert_allclose(logits.grad, numbers[f'gradlogits/{name}'], rtol=1e-5, atol=1e-8)
        seen += 1
    assert seen == 36  # all of them


def random_batch(seed: int, batch: int, time: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred = torch.randn(batch, time, 2, generator=generator)
    label = torch.rand(batch, time, 2, generator=generator) * 2 - 1
    mask = torch.rand(batch, time, generator=generator) < 0.7
    mask[0, :2] = True
    return pred, label, mask


def test_batch_ccc_is_the_plain_definition() -> None:
    pred, label, mask = random_batch(0, 3, 40)
    expected = []
    for target in range(2):
        x, y = pred[..., target][mask].double().numpy(), label[..., target][mask].double().numpy()
        covariance = np.mean((x - x.mean()) * (y - y.mean()))
        expected.append(1 - 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))
    assert CCCLoss()(pred, label, mask).item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert CCCLoss(weight=0.25)(pred, label, mask).item() == pytest.approx(0.25 * np.mean(expected), rel=1e-5)


def test_clip_ccc_of_whole_clips_is_the_mean_over_clips() -> None:
    pred, label, _ = random_batch(1, 3, 40)
    whole = torch.ones(3, 40, dtype=torch.bool)
    each = [CCCLoss()(pred[i : i + 1], label[i : i + 1], whole[:1]) for i in range(3)]
    torch.testing.assert_close(CCCLoss(over='clip')(pred, label, whole), torch.stack(each).mean())


@pytest.mark.parametrize(
    'loss',
    [CCCLoss(), CCCLoss(over='clip'), MSELoss(), DistillationLoss(), DistillationLoss('mse')],
    ids=['batch', 'clip', 'mse', 'distillation', 'distillation_mse'],
)
def test_a_missing_label_counts_as_an_invalid_frame(loss: VALoss) -> None:
    pred, label, mask = random_batch(2, 3, 20)
    unlabelled = label.masked_fill(~mask.unsqueeze(-1), float('nan'))
    pred.requires_grad_()
    value = loss(pred, unlabelled, torch.ones_like(mask))
    value.backward()
    assert torch.isfinite(pred.grad).all()
    assert not pred.grad[~mask].any()
    torch.testing.assert_close(value, loss(pred, label, mask))


def test_a_label_missing_in_one_target_leaves_the_other_whole() -> None:
    pred, label, mask = random_batch(3, 2, 20)
    label[0, :10, 0] = float('nan')
    mask_valence = mask & ~label[..., 0].isnan()
    apart = CCCLoss()(pred[..., :1], label[..., :1], mask_valence) + CCCLoss()(
        pred[..., 1:], label[..., 1:], mask
    )
    torch.testing.assert_close(CCCLoss()(pred, label, mask), apart / 2)


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(2, 12), st.integers(1, 9), st.booleans())
def test_padding_and_fillers_change_nothing(seed: int, batch: int, time: int, more: int, nan: bool) -> None:
    pred, label, mask = random_batch(seed, batch, time)
    fill = float('nan') if nan else 7.0
    longer = [torch.full((batch + 1, time + more, *x.shape[2:]), fill) for x in (pred, label)]
    longer_mask = torch.zeros(batch + 1, time + more, dtype=torch.bool)
    for big, small in zip([*longer, longer_mask], [pred, label, mask], strict=True):
        big[:batch, :time] = small
    for loss in (CCCLoss(), MSELoss(), DistillationLoss(), DistillationLoss('mse')):
        padded = longer[0].clone().requires_grad_()
        plain = pred.clone().requires_grad_()
        value, expected = loss(padded, longer[1], longer_mask), loss(plain, label, mask)
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
        value.backward()
        expected.backward()
        torch.testing.assert_close(padded.grad[:batch, :time], plain.grad, rtol=1e-4, atol=1e-6)
        assert not padded.grad[:, time:].any()
        assert not padded.grad[batch:].any()


@pytest.mark.parametrize(
    'loss',
    [CCCLoss(), CCCLoss(over='clip'), MSELoss(), BinnedCrossEntropyLoss(), DistillationLoss()],
    ids=['batch', 'clip', 'mse', 'ce', 'distillation'],
)
def test_a_batch_without_a_valid_frame_is_zero_with_a_graph(loss: VALoss) -> None:
    shape = (2, 6, 2, 22) if loss.on_classes else (2, 6, 2)
    pred = torch.full(shape, float('nan'), requires_grad=True)
    label = torch.full((2, 6, 2), -1) if loss.on_classes else torch.full((2, 6, 2), float('nan'))
    value = loss(pred, label, torch.zeros(2, 6, dtype=torch.bool))
    value.backward()
    assert value.item() == 0
    torch.testing.assert_close(pred.grad, torch.zeros(shape))


def test_cross_entropy_ignores_frames_without_class() -> None:
    logits = torch.randn(2, 6, 2, 22)
    classes = torch.randint(0, 22, (2, 6, 2))
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 3:] = False
    missing = classes.masked_fill(~mask.unsqueeze(-1), -1)
    loss = BinnedCrossEntropyLoss()
    torch.testing.assert_close(loss(logits, missing, torch.ones_like(mask)), loss(logits, classes, mask))


def test_computed_in_float32_under_autocast() -> None:
    pred, label, mask = random_batch(4, 2, 50)
    pred = pred.bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        value = CCCLoss()(pred, label, mask)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, CCCLoss()(pred.float(), label, mask))


def test_a_student_is_held_against_its_teacher() -> None:
    """Frames count that have a prediction of the teacher, whether they have a label or not; per target."""
    pred, label, mask = random_batch(5, 2, 30)
    teacher = random_batch(6, 2, 30)[1]
    label[0, :20] = float('nan')
    teacher[1, :9, 1] = float('nan')
    losses = [
        {'type': 'CCCLoss'},
        {'type': 'DistillationLoss', 'measure': 'mse', 'targets': ['arousal'], 'weight': 0.5},
        {'type': 'DistillationLoss'},
    ]
    head = RegressionHead(4, ['valence', 'arousal'], [3], losses=losses)
    assert head.has_teacher
    found = head.loss(HeadOutput(pred), label, mask, teacher)
    assert list(found) == ['loss_ccc', 'loss_distillation_arousal', 'loss_distillation']
    known = mask & ~teacher[..., 1].isnan()
    error = (pred[..., 1][known] - teacher[..., 1][known]).double().square().mean()
    assert found['loss_distillation_arousal'].item() == pytest.approx(0.5 * error.item(), rel=1e-5)
    each = [(teacher[..., i][m].numpy(), pred[..., i][m].numpy()) for i, m in enumerate((mask, known))]
    assert found['loss_distillation'].item() == pytest.approx(1 - np.mean([ccc(*x) for x in each]), rel=1e-5)
    torch.testing.assert_close(found['loss_ccc'], CCCLoss()(pred, label, mask))
    alone = head.loss(HeadOutput(pred.requires_grad_()), label, mask)  # as in validation
    assert alone['loss_distillation'].item() == 0
    assert alone['loss_distillation'].dtype == torch.float32
    with pytest.raises(ConfigError, match="measure='mae' is unknown; choose 'ccc' or 'mse'"):
        DistillationLoss('mae')


def test_unknown_span_is_refused() -> None:
    with pytest.raises(ConfigError, match="over='video' is unknown; choose 'batch' or 'clip'"):
        CCCLoss(over='video')
