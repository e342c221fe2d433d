"""Gates: the parts of the LSTM's, and what the others weigh."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.models.fusions.co_attention_fusion import GATES, LSTMGate, MeanGate, MLPGate
from abawfw.models.layers import carried_rnn
from abawfw.models.layers.cpu.lstm import LSTMCell, StepsLSTM, UnitMean


def states(count: int = 3, dim: int = 6, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 5, dim, generator=generator).to(dtype).requires_grad_() for _ in range(count)]


def test_gradients_of_the_cell() -> None:
    torch.manual_seed(0)
    sums = torch.randn(5, 12, dtype=torch.float64, requires_grad=True)
    cell = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LSTMCell.apply, (sums, cell))
    # Either result may go unused: the last step of a direction has no use for its cell.
    assert torch.autograd.gradcheck(lambda s, c: LSTMCell.apply(s, c)[0], (sums, cell))
    assert torch.autograd.gradcheck(lambda s, c: LSTMCell.apply(s, c)[1], (sums, cell))


def test_unit_mean_is_the_mean_of_unit_vectors() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 5, 7, requires_grad=True)
    weights = torch.randn(4, 5)
    found, expected = UnitMean.apply(x), F.normalize(x, dim=-1).mean(-1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected)), rtol=1e-5, atol=1e-7
    )
    assert torch.autograd.gradcheck(UnitMean.apply, x.detach().double().requires_grad_())


def test_unit_mean_of_zeros_is_zero() -> None:
    assert UnitMean.apply(torch.zeros(3, 4)).tolist() == [0, 0, 0]


@pytest.mark.parametrize('layers', [1, 2])
@pytest.mark.parametrize('count', [1, 2, 3, 5])
def test_steps_lstm_is_torchs_lstm(count: int, layers: int) -> None:
    torch.manual_seed(0)
    lstm = StepsLSTM(6, 8, layers, dropout=0)
    steps = [torch.randn(11, 6, requires_grad=True) for _ in range(count)]
    start = lstm.init_hidden[:, None].repeat(1, 11, 1).chunk(2)
    found = torch.stack(lstm.outputs(steps), 1)
    expected = lstm.rnn(torch.stack(steps, 1), start)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    weights = torch.randn_like(found)
    of = [*steps, lstm.init_hidden, *lstm.rnn.parameters()]
    for a, b in zip(*(torch.autograd.grad((y * weights).sum(), of) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.stack(lstm._by_library(steps), 1), expected)


def test_the_librarys_lstm_in_float32_gives_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carried_rnn, '_has_kernel', lambda kind: False)
    lstm, steps = StepsLSTM(6, 8), [torch.randn(5, 6).bfloat16() for _ in range(3)]
    expected = lstm._by_library([x.float() for x in steps])
    with torch.autocast('cpu', torch.bfloat16):
        found = lstm._by_library(steps)
    torch.testing.assert_close(found, [x.bfloat16() for x in expected], rtol=0, atol=0)


def test_dropout_before_the_linear_map_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    lstm = StepsLSTM(6, 8, dropout=0.5)
    steps = [torch.randn(1, 6).expand(20_000, 6) for _ in range(3)]
    expected = lstm.eval().projected(steps)
    found = lstm.train().projected(steps)
    for a, b in zip(found, expected, strict=True):
        assert a.std(0).min() > 0.05
        torch.testing.assert_close(
            a.mean(0), b.mean(0), rtol=0, atol=4.5 * a.std(0).max().item() / 20_000**0.5
        )
    gradient = torch.autograd.grad(sum(x.sum() for x in found), lstm.linear.weight)[0]
    plain = torch.autograd.grad(sum(x.sum() for x in expected), lstm.linear.weight)[0]
    torch.testing.assert_close(gradient, plain, rtol=0.05, atol=300)


def test_mean_gate() -> None:
    x = states(4)
    torch.testing.assert_close(MeanGate(6, 4)(x), sum(x[1:], x[0]) / 4)


NOT_NEGATIVE = ('linear', 'hierarchical')


@pytest.mark.parametrize('gate', GATES)
def test_result_lies_between_the_states(gate: str) -> None:
    torch.manual_seed(0)
    x = states()
    y = GATES[gate](6, 3).eval()(x)
    assert y.shape == x[0].shape
    assert y.dtype == torch.float32
    stacked = torch.stack(x)
    low, high = stacked.amin(0), stacked.amax(0)
    if gate in NOT_NEGATIVE:
        low, high = low.relu(), high.relu()
    assert (y <= high + 1e-6).all()
    assert (y >= low - 1e-6).all()


@pytest.mark.parametrize('gate', ['lstm', 'mlp', 'hierarchical_mlp'])
def test_every_parameter_and_state_matters(gate: str) -> None:
    torch.manual_seed(0)
    module, x = GATES[gate](6, 3).eval(), states()
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0, 0.5)
    (module(x) * torch.randn(2, 5, 6)).sum().backward()
    gradients = {k: p.grad for k, p in module.named_parameters()}
    # What is added to all scores alike leaves their softmax as it is.
    shifts = [gradients.pop(k) for k in list(gradients) if k.endswith('score.bias')]
    assert all(shift.abs().max() < 1e-5 for shift in shifts)
    assert all(g is not None and g.abs().sum() > 1e-6 for g in gradients.values())
    assert all((v.grad != 0).all() for v in x)


def test_the_lstms_weights_are_bounded_and_the_mlps_are_not() -> None:
    torch.manual_seed(0)
    x = [v * 10 for v in states(dim=256)]
    lstm, mlp = LSTMGate(256, 3).eval(), MLPGate(256, 3)
    with torch.no_grad():
        for p in [*lstm.parameters(), *mlp.parameters()]:
            p.normal_(0, 1)
        bounded, free = (gate.scores(x) for gate in (lstm, mlp))
        bounded = (bounded / 0.1).softmax(-1)
        free = free.softmax(-1)
    assert bounded.min() >= 0.171
    assert bounded.max() <= 0.548
    assert free.max() > 0.999


@pytest.mark.parametrize('gate', sorted(GATES.keys() - {'mean'}))
def test_bfloat16_is_near(gate: str) -> None:
    torch.manual_seed(0)
    module, x = GATES[gate](6, 3).eval(), states()
    expected = module(x)
    with torch.autocast('cpu', torch.bfloat16):
        found = module(x)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.03)


def test_the_library_runs_the_same_parameters() -> None:
    """On a GPU nn.LSTM runs: its names are those of checkpoints."""
    names = {k for k, _ in StepsLSTM(4, 6).named_parameters()}
    library = {f'rnn.{k}' for k, _ in nn.LSTM(4, 3, bidirectional=True).named_parameters()}
    assert names == library | {'init_hidden', 'linear.weight', 'linear.bias'}
