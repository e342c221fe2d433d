"""Co-attention: what is masked changes nothing, any length where it is promised, arguments checked."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from abawfw.errors import ConfigError, DataError
from abawfw.models.fusions import CoAttentionFusion
from abawfw.models.fusions.co_attention_fusion import GATES
from abawfw.registry import FUSIONS

DIMS = {'v': 6, 'a': 4, 't': 5}
FREE = ['identity', 'conv', 'attention']
TOLERANCE = {'rtol': 0, 'atol': 1e-5}
LENGTH = 12


@cache
def fusion_of(
    time_mix: str, joint: str = 'projected', gate: str | None = None, normalize: bool = False
) -> CoAttentionFusion:
    torch.manual_seed(0)
    length = LENGTH if time_mix == 'linear' else None
    states = 'all' if gate else 'last'
    fusion = CoAttentionFusion(DIMS, joint, time_mix, length, 2, states, gate, normalize).eval()
    with torch.no_grad():
        for p in fusion.parameters():
            p.normal_(0, 0.4)
    return fusion


def window(
    batch: int, time: int, seed: int = 0, missed: float = 0.0
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = {m: torch.randn(batch, time, dim, generator=generator) for m, dim in DIMS.items()}
    return x, {m: torch.rand(batch, time, generator=generator) >= missed for m in DIMS}


def split(y: Tensor) -> dict[str, Tensor]:
    return dict(zip(DIMS, y.split(list(DIMS.values()), dim=-1), strict=True))


NOT_NEGATIVE = ('linear', 'hierarchical')


@pytest.mark.parametrize(
    ('joint', 'gate'), [('raw', None), ('raw', 'lstm'), *(('projected', gate) for gate in [None, *GATES])]
)
@pytest.mark.parametrize('time_mix', FREE)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_padding_neighbours_and_missed_frames_change_nothing(
    time_mix: str, gate: str | None, joint: str, data: st.DataObject
) -> None:
    # In float64: a window of one frame multiplies rounding by 300, as it does all its score.
    fusion = copy.deepcopy(fusion_of(time_mix, joint, gate, data.draw(st.booleans()))).double()
    time, batch = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    x, observed = window(
        batch, time, data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0, 0.3, 0.8]))
    )
    x = {m: v.double() for m, v in x.items()}
    padded, seen = {}, {}
    more = data.draw(st.integers(0, 5))
    with torch.no_grad():
        together = fusion(x, observed)
        for m, v in x.items():
            # What stands where nothing was observed does not matter, whatever it is.
            kept = v.masked_fill(
                ~observed[m][..., None], data.draw(st.sampled_from([0.0, 7.0, float('nan')]))
            )
            padded[m] = torch.cat([kept, torch.full((batch, more, DIMS[m]), 9.0).double()], dim=1)
            seen[m] = torch.cat([observed[m], torch.zeros(batch, more, dtype=torch.bool)], dim=1)
        longer = fusion(padded, seen)
        alone = [
            fusion({m: v[i : i + 1] for m, v in x.items()}, {m: v[i : i + 1] for m, v in observed.items()})
            for i in range(batch)
        ]
    torch.testing.assert_close(longer[:, :time], together, **TOLERANCE)
    assert (longer[:, time:] == 0).all()
    torch.testing.assert_close(torch.cat(alone), together, **TOLERANCE)
    for m, y in split(together).items():
        assert (y[~observed[m]] == 0).all()
        assert gate in NOT_NEGATIVE or (y[observed[m]] != 0).any(-1).all()


@pytest.mark.parametrize('time_mix', [*FREE, 'linear'])
@pytest.mark.parametrize('gate', [None, 'lstm', 'mlp'])
def test_modality_missed_in_a_whole_window(time_mix: str, gate: str | None) -> None:
    fusion = fusion_of(time_mix, 'projected', gate, True)
    x, observed = window(2, LENGTH)
    observed['a'][0] = False
    for v in x.values():
        v.requires_grad_()
    y = fusion(x, observed)
    other = fusion({**x, 'a': x['a'] + torch.tensor([100.0, 0.0])[:, None, None]}, observed)
    assert torch.equal(y, other)
    assert (split(y)['a'][0] == 0).all()
    assert (split(y)['a'][1] != 0).any()
    assert (split(y)['v'][0] != 0).any(-1).all()
    y.square().sum().backward()
    assert all(v.grad.isfinite().all() for v in x.values())
    assert (x['a'].grad[0] == 0).all()
    assert (x['a'].grad[1] != 0).any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())


@pytest.mark.parametrize('time_mix', [*FREE, 'linear'])
@pytest.mark.parametrize('gate', [None, 'lstm', 'mlp'])
def test_window_in_which_nothing_was_observed(time_mix: str, gate: str | None) -> None:
    fusion = fusion_of(time_mix, 'projected', gate, True)
    x, _ = window(2, LENGTH)
    x = {m: torch.zeros_like(v).requires_grad_() for m, v in x.items()}
    y = fusion(x, {m: torch.zeros(2, LENGTH, dtype=torch.bool) for m in DIMS})
    assert (y == 0).all()
    y.sum().backward()
    assert all((v.grad == 0).all() for v in x.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())


@pytest.mark.parametrize('time_mix', FREE)
def test_scores_do_not_grow_with_the_length(time_mix: str) -> None:
    fusion = fusion_of(time_mix)
    x, observed = window(1, 40)
    if time_mix != 'identity':  # what it mixes must not depend on where a window ends
        x = {m: v[:, :1].expand(-1, 40, -1) for m, v in x.items()}
    for module in fusion.modules():
        if isinstance(module, torch.nn.Conv1d):  # nor what it gives at the edges
            torch.nn.init.dirac_(module.weight, groups=module.groups)
    twice = {m: torch.cat([v, v], dim=1) for m, v in x.items()}
    found = fusion(twice, {m: torch.cat([v, v], dim=1) for m, v in observed.items()})
    torch.testing.assert_close(found[:, :40], fusion(x, observed), **TOLERANCE)


@pytest.mark.parametrize('joint', ['projected', 'raw'])
def test_identity_is_the_linear_mix_with_the_identity_matrix_at_300_frames(joint: str) -> None:
    torch.manual_seed(0)
    free = CoAttentionFusion(DIMS, joint, 'identity').eval()
    fixed = CoAttentionFusion(DIMS, joint, 'linear', 300).eval()
    weights = dict(free.state_dict())
    for i in range(2):
        for m in DIMS:
            weights |= {
                f'steps.{i}.keys.{m}.weight': torch.eye(300),
                f'steps.{i}.keys.{m}.bias': torch.zeros(300),
            }
    fixed.load_state_dict(weights)
    x, observed = window(2, 300)
    x = {m: 0.1 * v for m, v in x.items()}
    torch.testing.assert_close(free(x, observed), fixed(x, observed), **TOLERANCE)


def test_conv_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    conv = CoAttentionFusion(DIMS, time_mix='conv').eval()
    plain = CoAttentionFusion(DIMS, time_mix='identity').eval()
    plain.load_state_dict({k: v for k, v in conv.state_dict().items() if '.keys.' not in k})
    x, observed = window(2, 9, missed=0.3)
    torch.testing.assert_close(conv(x, observed), plain(x, observed), **TOLERANCE)


def test_linear_leaves_missed_frames_as_they_come() -> None:
    fusion = fusion_of('linear')
    x, observed = window(2, LENGTH)
    some = {m: v.clone() for m, v in observed.items()}
    some['v'][:, 5:] = False
    assert torch.equal(fusion(x, some), fusion(x, observed))


@pytest.mark.parametrize('frames', [LENGTH - 1, LENGTH + 1])
def test_another_length_names_both_and_the_way_out(frames: int) -> None:
    with pytest.raises(DataError, match=rf'{frames} frames.*{LENGTH}.*SlidingWindow.*PadTo.*identity'):
        fusion_of('linear')(*window(1, frames))


@pytest.mark.parametrize('gate', [None, 'mean', 'lstm', 'mlp'])
@pytest.mark.parametrize('states', ['last', 'all'])
@pytest.mark.parametrize('dims', [{'v': 6, 'a': 4}, DIMS, {'a': 3, 'b': 3, 'c': 2, 'd': 1}])
def test_size_of_the_output(dims: dict[str, int], states: str, gate: str | None) -> None:
    if gate and states == 'last':
        return
    cfg = {'type': 'CoAttentionFusion', 'time_mix': 'identity', 'steps': 3, 'states': states, 'gate': gate}
    fusion = FUSIONS.build({**cfg, 'in_dims': dims})
    x = {m: torch.randn(2, 7, d) for m, d in dims.items()}
    y = fusion(x, {m: torch.ones(2, 7, dtype=torch.bool) for m in dims})
    assert y.shape == (2, 7, fusion.out_dim)
    assert fusion.out_dim == sum(dims.values()) * (4 if states == 'all' and gate is None else 1)


@pytest.mark.parametrize('time_mix', [*FREE, 'linear'])
@pytest.mark.parametrize('gate', ['mean', 'lstm', 'mlp'])
def test_every_parameter_is_trained(time_mix: str, gate: str) -> None:
    torch.manual_seed(0)
    length = LENGTH if time_mix == 'linear' else None
    fusion = CoAttentionFusion(DIMS, 'projected', time_mix, length, 2, 'all', gate, dropout=0.1)
    x, observed = window(3, LENGTH)
    (fusion(x, observed) * torch.randn(3, LENGTH, fusion.out_dim)).sum().backward()
    for key, p in fusion.named_parameters():
        assert p.grad is not None, key
        assert p.grad.isfinite().all(), key


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    fusion = CoAttentionFusion(DIMS, time_mix='identity')
    x, observed = window(2, 9)
    assert not torch.equal(fusion(x, observed), fusion(x, observed))
    fusion.eval()
    assert torch.equal(fusion(x, observed), fusion(x, observed))


@pytest.mark.parametrize('time_mix', [*FREE, 'linear'])
def test_bfloat16_is_near(time_mix: str) -> None:
    torch.manual_seed(0)
    length = LENGTH if time_mix == 'linear' else None
    fusion = CoAttentionFusion(DIMS, 'projected', time_mix, length, 2, 'all', 'lstm', True).eval()
    x, observed = window(2, LENGTH, missed=0.2)
    expected = fusion(x, observed)
    with torch.autocast('cpu', torch.bfloat16):
        found = fusion(x, observed)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'time_mix': 'linaer', 'length': 3}, "linaer.*did you mean 'linear'"),
        ({'joint': 'rwa'}, "rwa.*did you mean 'raw'"),
        ({'states': 'al'}, "did you mean 'all'"),
        ({'states': 'all', 'gate': 'ltsm'}, "did you mean 'lstm'"),
        ({'gate': 'mlp'}, "gate='mlp'.*states='all'"),
        ({'steps': 0}, 'a step or more.*0'),
        ({'in_dims': {'v': 3}}, r'two modalities.*1 \(v\)'),
        ({'time_mix': 'linear', 'length': None}, 'length.*None.*identity'),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CoAttentionFusion(**{'in_dims': DIMS, 'length': 5, **arguments})
