"""Heads against the reference's outputs, and the losses they ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from abawfw.errors import ConfigError
from abawfw.models.heads import BinHead, HeadOutput, RegressionHead, VAHead
from abawfw.models.losses import CCCLoss
from abawfw.registry import LOSSES

BOTH = ('valence', 'arousal')


def reference_weights(golden: Path, case: str) -> dict[str, Tensor]:
    stored = torch.load(golden / 'weights_mini' / case / 'golden_net_reg.pth', weights_only=True)
    return {k.replace('module.', 'hidden.').replace('fc_out.', 'out.'): v for k, v in stored.items()}


def golden_output(golden: Path, name: str) -> Tensor:
    with np.load(golden / 'outputs_mini.npz') as stored:
        return torch.from_numpy(stored[name])


def before_output_layer(weights: dict[str, Tensor], logits: Tensor) -> Tensor:
    """The one input of the output layer that gives these (more) outputs in the reference's order."""
    rest = (logits - weights['out.bias']).double().flatten(0, 1).T
    return (
        torch.linalg.lstsq(weights['out.weight'].double(), rest)
        .solution.T.float()
        .view(*logits.shape[:2], -1)
    )


def output_layer(head: VAHead, weights: dict[str, Tensor]) -> VAHead:
    head.load_state_dict({k: v for k, v in weights.items() if k.startswith('out.')})
    return head.eval()


def call(head: VAHead, x: Tensor) -> HeadOutput:
    return head(x, torch.ones(x.shape[:2], dtype=torch.bool))


def test_regression_head_gives_the_reference_outputs(golden: Path) -> None:
    head = RegressionHead(32, BOTH, layers=(16, 12)).eval()
    head.load_state_dict(reference_weights(golden, 'transformer'))
    output = call(head, golden_output(golden, 'transformer/seg0_hidden1'))
    assert output.logits is None
    expected = golden_output(golden, 'transformer')[:, :20]
    torch.testing.assert_close(output.va.detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('case', ['transformer_ce', 'transformer_lstm_ce'])
def test_rows_of_the_reference_fit_22_classes(golden: Path, case: str) -> None:
    weights = reference_weights(golden, case)
    logits = golden_output(golden, f'{case}/seg0_logits').permute(0, 2, 1, 3)  # batch, time, classes, targets
    head = output_layer(BinHead(12, BOTH, layers=()), weights)
    output = call(head, before_output_layer(weights, logits.flatten(2)))
    torch.testing.assert_close(output.logits.detach(), logits.transpose(2, 3), rtol=1e-5, atol=1e-5)


def test_20_centres_give_the_reference_predictions(golden: Path) -> None:
    weights = reference_weights(golden, 'fclstm_xl_cls20')
    logits = golden_output(golden, 'fclstm_xl_cls20/seg0_logits')
    head = output_layer(BinHead(8, BOTH, layers=(), ends=False), weights)
    output = call(head, before_output_layer(weights, logits))
    torch.testing.assert_close(
        output.logits.detach().transpose(2, 3).flatten(2), logits, rtol=1e-5, atol=1e-5
    )
    expected = golden_output(golden, 'fclstm_xl_cls20')[:, :8]
    torch.testing.assert_close(output.va.detach(), expected, rtol=1e-5, atol=1e-6)


def test_prediction_is_the_expectation_over_the_centres_of_each_target(golden: Path) -> None:
    head = BinHead(5, BOTH, bins='weighted').eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    output = call(head, torch.randn(2, 4, 5))
    probability = output.logits.double().softmax(-1).detach()
    with np.load(golden / 'bins.npz') as stored:
        for column, target in enumerate(BOTH):
            centres = torch.from_numpy(stored[f'weighted/{target}/centers'])
            expected = (probability[:, :, column] * centres).sum(-1).float()
            torch.testing.assert_close(output.va[..., column].detach(), expected, rtol=1e-5, atol=1e-6)


def test_soft_labels_are_learnt_by_cross_entropy_to_their_bins() -> None:
    """Minus the mean log probability of the bins, weighed by how likely each holds the label."""
    losses = [
        {'type': 'BinnedCrossEntropyLoss', 'sigma': 0.15, 'targets': ['arousal'], 'weight': 0.5},
        {'type': 'BinnedCrossEntropyLoss'},
    ]
    head = BinHead(4, BOTH, losses=losses)
    output = call(head, torch.randn(2, 6, 4))
    label = torch.rand(2, 6, 2) * 2 - 1
    mask = torch.ones(2, 6, dtype=torch.bool)
    label[0, 1], mask[1, 4:] = float('nan'), False
    found = head.loss(output, label, mask)
    probabilities = head.bins.probabilities_of(label, 0.15)[:, :, 1]
    each = -(probabilities * output.logits[:, :, 1].log_softmax(-1)).sum(-1)
    known = mask & ~label[..., 1].isnan()
    torch.testing.assert_close(found['loss_ce_arousal'], 0.5 * each[known].mean())
    classes = head.classes_of(label)[known]
    hard = -output.logits[known].log_softmax(-1).gather(-1, classes[..., None]).mean()
    torch.testing.assert_close(found['loss_ce'], hard)
    nothing = head.loss(output, torch.full_like(label, float('nan')), mask)['loss_ce_arousal']
    nothing.backward()
    assert nothing.item() == 0
    with pytest.raises(ConfigError, match=r'sigma=-0.1'):
        BinHead(4, BOTH, losses=[{'type': 'BinnedCrossEntropyLoss', 'sigma': -0.1}])


@pytest.mark.parametrize('target', BOTH)
def test_one_target_of_a_bin_head_has_its_own_bins(target: str) -> None:
    one, both = BinHead(4, [target], bins='weighted'), BinHead(4, BOTH, bins='weighted')
    column = BOTH.index(target)
    torch.testing.assert_close(one.bins.centres[0], both.bins.centres[column])
    assert call(one, torch.randn(1, 3, 4)).va.shape == (1, 3, 1)


def test_dropout_only_in_training() -> None:
    head, x = RegressionHead(6, BOTH, layers=(64,), dropout=0.5), torch.randn(2, 9, 6)
    assert not torch.equal(call(head, x).va, call(head, x).va)
    head.eval()
    assert torch.equal(call(head, x).va, call(head, x).va)


def test_losses_see_only_their_targets_and_have_their_own_keys() -> None:
    head = RegressionHead(
        6,
        BOTH,
        losses=[
            {'type': 'CCCLoss'},
            {'type': 'CCCLoss', 'over': 'clip'},
            {'type': 'CCCLoss', 'targets': ['valence']},
            {'type': 'CCCLoss', 'targets': ['arousal'], 'weight': 0.5},
            {'type': 'MSELoss', 'targets': ['arousal']},
        ],
    ).eval()
    output, label = call(head, torch.randn(2, 9, 6)), torch.rand(2, 9, 2)
    label[0, 0] = float('nan')
    losses = head.loss(output, label, torch.ones(2, 9, dtype=torch.bool))
    assert list(losses) == [
        'loss_ccc',
        'loss_ccc_2',
        'loss_ccc_valence',
        'loss_ccc_arousal',
        'loss_mse_arousal',
    ]
    torch.testing.assert_close(
        losses['loss_ccc'], losses['loss_ccc_valence'] / 2 + losses['loss_ccc_arousal']
    )
    error = (output.va - label)[..., 1].square().nansum()
    torch.testing.assert_close(losses['loss_mse_arousal'], error)


class MyCCC(CCCLoss):
    """A loss of the user's, derived from one of ours, whose name it keeps."""


def mse_loss(pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
    """A function whose name is that of a loss of ours."""
    return (pred - label)[known].abs().max()


def test_no_loss_takes_the_place_of_another_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES.module_dict, 'MyCCC', MyCCC)
    monkeypatch.setitem(LOSSES.module_dict, 'mse_loss', mse_loss)
    kinds = ('CCCLoss', 'MyCCC', 'MSELoss', 'mse_loss', 'CCCLoss')
    head = RegressionHead(6, BOTH, losses=[{'type': kind} for kind in kinds]).eval()
    output, label = call(head, torch.randn(2, 9, 6)), torch.rand(2, 9, 2)
    losses = head.loss(output, label, torch.ones(2, 9, dtype=torch.bool))
    assert list(losses) == ['loss_ccc', 'loss_ccc_2', 'loss_mse', 'loss_mse_2', 'loss_ccc_3']
    error = output.va - label
    torch.testing.assert_close(losses['loss_mse'], error.square().sum() / 2)  # the mean of two targets
    torch.testing.assert_close(losses['loss_mse_2'], error.abs().max())


def test_bin_head_trains_on_the_classes_of_the_labels() -> None:
    head = BinHead(
        6, BOTH, bins='weighted', losses=[{'type': 'BinnedCrossEntropyLoss', 'targets': ['arousal']}]
    )
    output, label = (
        call(head, torch.randn(1, 4, 6)),
        torch.tensor([[[0, 0.1], [0, 1.0], [0, -1.0], [0, float('nan')]]]),
    )
    value = head.loss(output, label, torch.ones(1, 4, dtype=torch.bool))['loss_ce_arousal']
    chance = output.logits[0, :3, 1].log_softmax(-1)
    torch.testing.assert_close(value, -(chance[0, 5] + chance[1, 21] + chance[2, 0]) / 3)


def test_losses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"CCCLoss: targets=\['arousal'\], but the head predicts \['valence'\]"
    ):
        RegressionHead(4, ['valence'], losses=[{'type': 'CCCLoss', 'targets': ['arousal']}])
    with pytest.raises(ConfigError, match='RegressionHead has none: use BinHead'):
        RegressionHead(4, BOTH, losses=[{'type': 'BinnedCrossEntropyLoss'}])
