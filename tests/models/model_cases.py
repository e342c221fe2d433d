"""The four models in small, and clips to feed them with."""

from __future__ import annotations

from typing import Any

import torch

from abawfw.registry import MODELS
from abawfw.structures import VABatch, VAClip

DIMS = {'b': 5, 'a': 3}
SMALL = {'hidden': 16, 'layers': 2, 'heads': 2, 'ffn': 24}
CONTEXTS: dict[str, list[dict[str, Any]]] = {
    'transformer': [{'type': 'TransformerContext', **SMALL}],
    'transformer-lstm': [
        {'type': 'FeedForward', 'hidden': 16},
        {'type': 'TransformerContext', **SMALL, 'affine': False, 'residual': True},
        {'type': 'LSTMContext', 'hidden': 16},
    ],
    'transformer-attention': [
        {'type': 'TransformerContext', **SMALL},
        {'type': 'MemoryAttention', 'heads': 2, 'average': 3, 'capacity': 4},
    ],
    'transformer-attention-unlimited': [
        {'type': 'TransformerContext', **SMALL},
        {'type': 'MemoryAttention', 'mode': 'single', 'average': 3, 'capacity': None},
    ],
    'pre-norm': [
        {'type': 'FeedForward', 'hidden': 16},
        {'type': 'PreNormEncoderContext', 'layers': 2, 'heads': 2, 'ffn': 24},
    ],
    'fclstm-xl': [{'type': 'FeedForward', 'hidden': 16}, {'type': 'LSTMContext', 'hidden': 16}],
    'gru': [{'type': 'FeedForward', 'hidden': 16}, {'type': 'GRUContext', 'hidden': 16}],
    'conformer': [{'type': 'ConformerContext', 'layers': 1, 'heads': 2, 'ffn': 12, 'kernel': 4}],
    'conformer-causal': [
        {'type': 'ConformerContext', 'layers': 2, 'heads': 2, 'ffn': 12, 'kernel': 3, 'past': 4}
    ],
    'mamba': [{'type': 'MambaContext', 'layers': 2, 'states': 3, 'expand': 2}],
    'mamba-of-clips': [{'type': 'MambaContext', 'layers': 2, 'kernel': 1, 'carry': False}],
}


def build(name: str, **changes: Any) -> Any:
    """One of the models, with weights large enough for every part to matter."""
    torch.manual_seed(0)
    model = MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': DIMS,
            'context': CONTEXTS[name],
            'head': {'type': 'RegressionHead', 'layers': [8]},
            **changes,
        }
    )
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, 0.3)
    return model


def clip(
    video: str, start: int, frames: int, padded: int, lane: int = 0, starts: bool | None = None
) -> VAClip:
    """A clip with labels that follow from its frames' numbers."""
    number = torch.arange(start, start + padded)
    valid = number < start + frames
    gt_va = torch.stack([torch.sin(0.3 * number), torch.cos(0.2 * number)], dim=-1)
    gt_va[frames:] = float('nan')
    return VAClip(
        video_id=video,
        start=start,
        num_frames=frames,
        video_length=1000,
        lane=lane,
        starts_video=start == 0 if starts is None else starts,
        gt_va=gt_va,
        valid=valid,
        observed=valid.unsqueeze(-1).repeat(1, len(DIMS)),
    )


def batch(*clips: VAClip) -> VABatch:
    """The clips as a batch."""
    return VABatch.of(clips)


def split(features: torch.Tensor) -> dict[str, torch.Tensor]:
    """Features (batch, time, 8) as the modalities, in another order than the model concatenates them."""
    b, a = features.split([DIMS['b'], DIMS['a']], dim=-1)
    return {'a': a, 'b': b}
