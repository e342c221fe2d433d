"""A run killed at any moment and resumed ends as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from same_run import assert_same_run

NOISY = [
    {'type': 'LoadFeatures'},
    {'type': 'Normalize', 'method': 'train'},
    {'type': 'Noise', 'std': 0.1},
    {'type': 'ModalityDropout', 'p': 0.3},
    {'type': 'LabelNoise', 'std': 0.1},
    {'type': 'PackVA'},
]
CONFORMER = {'type': 'ConformerContext', 'layers': 1, 'heads': 2, 'ffn': 8, 'kernel': 3, 'past': 30}
# beside the LSTM whatever else carries a state, and a schedule with a position of its own
MORE = {
    'fclstm_xl': {
        'model.context': [
            {'type': 'FeedForward', 'hidden': '${hidden}'},
            {'type': 'LSTMContext', 'hidden': 8},
            {'type': 'GRUContext', 'hidden': 8},
            {'type': 'MambaContext', 'layers': 1},
            CONFORMER,
        ],
        'param_scheduler': [{'type': 'CosineRestartsLR', 'warmup': '${constant_epochs}', 'period': 2}],
    }
}
PER_CLIP = [*NOISY[:2], {'type': 'NoiseForTests'}, *NOISY[2:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('model', 'workers', 'every', 'times', 'pipeline', 'policies'),
    [
        ('transformer_attention', 2, 1, 8, PER_CLIP, ['Auto']),
        ('transformer', 0, 2, 3, NOISY, ['Resident']),
        ('fclstm_xl', 2, 3, 3, NOISY, ['Stream', 'Resident']),
    ],
)
def test_killed_many_times(
    train,
    tmp_path: Path,
    model: str,
    workers: int,
    every: int,
    times: int,
    pipeline: list[dict[str, Any]],
    policies: list[str],
) -> None:
    """Most often where a resume could lose most: workers, and a state after every batch.

    Of several loading policies each part of a run has another one.
    """
    options = {
        'epochs': 2,
        'train_dataloader.dataset.pipeline': pipeline,
        'train_dataloader.loading.type': policies[0],
        'default_hooks.checkpoint.batches': every,
        'train_dataloader.num_workers': workers,
        **MORE.get(model, {}),
    }
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    done = train(whole, model, **options)
    assert done['codes'] == [0], done['output']
    # the whole run once more does nothing but start: what lies between is the training
    startup = train(whole, model, {'resume': True}, **options)['cpu_seconds']
    training = done['cpu_seconds'] - startup

    rng = random.Random(f'{model} {workers}')
    kills = 0
    while True:
        # anywhere from before the first file is written to some batches after the resume
        delay = rng.uniform(0.5 * startup, startup + 0.06 * training) if kills < times else None
        options['train_dataloader.loading.type'] = policies[kills % len(policies)]
        found = train(killed, model, {'resume': True, 'kill_after': delay}, **options)
        if found['codes'] == [0]:
            break
        assert found['codes'] == [-9], found['output']
        kills += 1
    assert kills == times
    assert_same_run(whole, killed)
