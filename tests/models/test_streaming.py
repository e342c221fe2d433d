"""Models that run frame by frame give what they give over the whole video; the others say why they cannot."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from abawfw.apis.stream import EstimatorStream, stream_obstacles
from abawfw.errors import ConfigError, DataError
from abawfw.registry import MODELS
from abawfw.structures import VABatch, VAClip
from abawfw.structures.va_batch import Frames

DIMS = {'b': 5, 'a': 3}
TCN = {'type': 'TCN', 'channels': (6, 7, 4), 'kernel': 3}
HEADS = {
    'regression': {'type': 'RegressionHead', 'layers': [8]},
    'bins': {'type': 'BinHead', 'layers': [8]},
    'tanh': {'type': 'TanhHead', 'layers': [8]},
}
CAUSAL: dict[str, dict[str, Any]] = {
    'fclstm-xl': {
        'context': [{'type': 'FeedForward', 'hidden': 9}, {'type': 'LSTMContext', 'hidden': 6}],
        'head': HEADS['regression'],
    },
    'two lstms': {'context': [{'type': 'LSTMContext', 'hidden': 6}] * 2, 'head': HEADS['bins']},
    'lfan': {
        'encoders': {'b': TCN, 'a': {**TCN, 'kernel': 1}},
        'fusion': {'type': 'LeaderFollowerFusion', 'dim': 8},
        'head': HEADS['tanh'],
    },
    'can': {
        'encoders': {'b': TCN},
        'fusion': {'type': 'ChannelAttentionFusion', 'dim': 8},
        'head': HEADS['tanh'],
    },
    'reliability': {
        'fusion': {'type': 'ReliabilityFusion', 'priors': {'b': 0.9, 'a': 0.1}, 'dim': 8},
        'context': [{'type': 'LSTMContext', 'hidden': 6}],
    },
    'tcn and lstm': {
        'encoders': dict.fromkeys(DIMS, TCN),
        'context': [{'type': 'LSTMContext', 'hidden': 6}],
        'head': HEADS['regression'],
    },
    'gru': {'context': [{'type': 'GRUContext', 'hidden': 6}] * 2, 'head': HEADS['regression']},
    'conformer': {
        'context': [{'type': 'ConformerContext', 'layers': 2, 'heads': 2, 'kernel': 4, 'past': 9}],
        'head': HEADS['regression'],
    },
    'mamba': {'context': [{'type': 'MambaContext', 'layers': 2}], 'head': HEADS['regression']},
    'mamba-va': {
        'encoders': {m: {**TCN, 'activation': 'prelu', 'norm': False} for m in DIMS},
        'context': [{'type': 'MambaContext', 'layers': 2, 'kernel': 3, 'carry': False}],
        'head': HEADS['regression'],
    },
}
SMALL = {'dim': 8, 'layers': 1, 'heads': 2}
WHOLE: dict[str, tuple[dict[str, Any], str]] = {
    'transformer': (
        {'context': [{'type': 'TransformerContext', 'hidden': 8, 'heads': 2}]},
        'context 0, TransformerContext: every frame attends to all frames of its clip',
    ),
    'transformer-attention': (
        {'context': [{'type': 'FeedForward', 'hidden': 8}, {'type': 'MemoryAttention', 'heads': 2}]},
        'context 1, MemoryAttention: clips enter the memory as a whole',
    ),
    'tagf': (
        {'fusion': {'type': 'CoAttentionFusion', 'length': 10}},
        'fusion, CoAttentionFusion: co-attention compares channels over all frames',
    ),
    'free length': (
        {'fusion': {'type': 'CoAttentionFusion', 'time_mix': 'attention'}},
        'fusion, CoAttentionFusion: co-attention compares channels over all frames',
    ),
    'attention encoder': (
        {'encoders': {'a': {'type': 'AttentionEncoder', **SMALL}}},
        'encoder of a, AttentionEncoder: every frame attends to all frames of its clip',
    ),
    'attention pooling': (
        {'encoders': {'a': {'type': 'AttentionPooling', 'frames': 5}}},
        'encoder of a, AttentionPooling: every frame of a part is given what the part sums up to',
    ),
    'directed': (
        {'fusion': {'type': 'DirectedFusion', **SMALL}},
        'fusion, DirectedFusion: every frame attends to all frames of its clip',
    ),
    'reliability with tokens': (
        {'fusion': {'type': 'ReliabilityFusion', 'tokens': 'a', 'dim': 8}},
        'fusion, ReliabilityFusion: every frame attends to all tokens of its clip',
    ),
    'conformer': (
        {'context': [{'type': 'ConformerContext', 'heads': 2}]},
        'context 0, ConformerContext: every frame attends to all frames of its clip',
    ),
    'pre-norm': (
        {'context': [{'type': 'PreNormEncoderContext', 'heads': 2}]},
        'context 0, PreNormEncoderContext: every frame attends to all frames of its clip',
    ),
    'experts': (
        {'fusion': {'type': 'MixtureOfExpertsFusion', **SMALL}},
        'fusion, MixtureOfExpertsFusion: every frame attends to all frames of its clip',
    ),
}


def build(cfg: dict[str, Any], **changes: Any) -> Any:
    torch.manual_seed(0)
    model = MODELS.build({'type': 'VAEstimator', 'input_dims': DIMS, 'head': HEADS['tanh'], **cfg, **changes})
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(0, 0.4)
            if name.endswith('original0'):  # lengths of a convolution's filters
                p.fill_(2)
        for name, buffer in model.named_buffers():
            if name.endswith('running_var'):
                buffer.uniform_(0.5, 2)
    return model.eval()


def video(frames: int, missed: float, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs of one video, and where each modality was observed: somewhere at least."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(1, frames, dim, generator=generator) for name, dim in DIMS.items()}
    seen = torch.rand(1, frames, len(DIMS), generator=generator) >= missed
    seen[:, int(torch.randint(frames, (), generator=generator))] = True
    return inputs, seen


def offline(model: Any, inputs: dict[str, Tensor], seen: Tensor) -> Tensor:
    """The whole video as one clip, as evaluation runs it."""
    frames = seen.shape[1]
    sample = VAClip(
        video_id='v',
        start=0,
        num_frames=frames,
        video_length=frames,
        lane=0,
        starts_video=True,
        gt_va=torch.full((frames, 2), torch.nan),
        valid=torch.ones(frames, dtype=torch.bool),
        observed=seen[0],
    )
    model.reset_lanes()
    with torch.no_grad():
        return model(inputs, VABatch.of([sample]), mode='predict')[0].predictions()[0]


def streamed(stream: EstimatorStream, inputs: dict[str, Tensor], seen: Tensor, cuts: list[int]) -> Tensor:
    borders = [0, *sorted(cuts), seen.shape[1]]
    return torch.cat(
        [
            stream.push({m: x[:, start:stop] for m, x in inputs.items()}, seen[:, start:stop])
            for start, stop in pairwise(borders)
            if start < stop
        ]
    )


@pytest.mark.parametrize('name', CAUSAL)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), missed=st.sampled_from([0.0, 0.4]), seed=st.integers(0, 50))
def test_equals_offline_however_it_is_cut(name: str, data: st.DataObject, missed: float, seed: int) -> None:
    frames = data.draw(st.integers(1, 40))
    cuts = data.draw(st.lists(st.integers(0, frames), max_size=6))
    model = build(CAUSAL[name])
    inputs, seen = video(frames, missed, seed)
    found = streamed(EstimatorStream(model), inputs, seen, cuts)
    torch.testing.assert_close(found, offline(model, inputs, seen), rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', CAUSAL)
def test_frame_by_frame_and_another_video_after_it(name: str) -> None:
    model = build(CAUSAL[name])
    stream = EstimatorStream(model)
    for seed in (1, 2):
        inputs, seen = video(30, 0.2, seed)
        found = streamed(stream, inputs, seen, list(range(30)))
        torch.testing.assert_close(found, offline(model, inputs, seen), rtol=0, atol=1e-5)
        stream.reset()


def test_an_lstm_equals_offline_over_segments_with_carried_state() -> None:
    model = build(CAUSAL['fclstm-xl'])
    inputs, seen = video(30, 0.0, 0)
    states = [c.initial_state(1) for c in model.stateful]
    parts = []
    with torch.no_grad():
        for start in range(0, 30, 10):
            clip = {m: x[:, start : start + 10] for m, x in inputs.items()}
            valid = torch.ones(1, 10, dtype=torch.bool)
            x, states = model.extract(clip, Frames(valid, seen[:, start : start + 10]), states)
            parts.append(model.head(x, valid).va[0])
    found = streamed(EstimatorStream(model), inputs, seen, list(range(30)))
    torch.testing.assert_close(found, torch.cat(parts), rtol=0, atol=1e-6)


def test_the_state_matters() -> None:
    for name, cfg in CAUSAL.items():
        model = build(cfg)
        inputs, seen = video(30, 0.0, 0)
        whole = offline(model, inputs, seen)
        late = offline(model, {m: x[:, 20:] for m, x in inputs.items()}, seen[:, 20:])
        assert (whole[20:] - late).abs().max() > 1e-3, name


def test_an_optional_modality_that_is_left_away() -> None:
    model = build(CAUSAL['lfan'], optional=['a'])
    inputs, seen = video(20, 0.0, 0)
    del inputs['a']
    found = streamed(EstimatorStream(model), inputs, seen[..., :1], [1, 2, 9])
    torch.testing.assert_close(found, offline(model, inputs, seen[..., :1]), rtol=0, atol=1e-5)


def test_pixels() -> None:
    cfg = {
        'input_dims': {'face': (40, 40, 3), 'a': 3},
        'backbones': {'face': {'type': 'IResNet', 'units': (1, 1, 1, 1), 'width': 2}},
        'encoders': {'face': TCN},
    }
    model = build(CAUSAL['can'], **cfg)
    faces = torch.randint(256, (1, 12, 40, 40, 3), dtype=torch.uint8)
    inputs = {'face': faces, 'a': torch.randn(1, 12, 3)}
    seen = torch.rand(1, 12, 2) > 0.3
    seen[:, 0] = True
    found = streamed(EstimatorStream(model), inputs, seen, [1, 2, 7])
    torch.testing.assert_close(found, offline(model, inputs, seen), rtol=0, atol=1e-5)


def test_modalities_do_not_change_within_a_video() -> None:
    inputs, seen = video(4, 0.0, 0)
    stream = EstimatorStream(build(CAUSAL['lfan'], optional=['a']))
    stream.push(inputs, seen)
    with pytest.raises(DataError, match='began with b, a and goes on with b'):
        stream.push({'b': inputs['b']}, seen[..., :1])


def test_runs_in_evaluation_mode() -> None:
    stream = EstimatorStream(build(CAUSAL['lfan']).train())
    assert not stream.model.training


@pytest.mark.parametrize('name', WHOLE)
def test_others_refuse_and_say_why(name: str) -> None:
    cfg, reason = WHOLE[name]
    model = build(cfg)
    assert len(stream_obstacles(model)) == 1
    with pytest.raises(ConfigError, match=f'cannot run frame by frame. {reason}'):
        EstimatorStream(model)


class Reversed(nn.Module):
    """A part of a user's own that says nothing about itself."""

    stateful = False

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return x.flip(1)


def test_a_part_that_says_nothing_is_refused() -> None:
    model = build(CAUSAL['fclstm-xl'])
    model.context.append(Reversed())
    with pytest.raises(ConfigError, match='context 2, Reversed: it does not say'):
        EstimatorStream(model)
