"""A run killed at any moment and resumed ends as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from same_run import assert_same_run

NOISY = [
    {'type': 'LoadFeatures'},
    {'type': 'Normalize', 'method': 'train'},
    {'type': 'NoiseForTests'},
    {'type': 'PackVA'},
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('model', 'workers', 'every'),
    [('transformer', 0, 2), ('transformer', 2, 3), ('transformer_attention', 2, 1), ('fclstm_xl', 0, 3)],
)
def test_killed_twenty_times(train, tmp_path: Path, model: str, workers: int, every: int) -> None:
    options = {
        'epochs': 4,
        'pipeline': NOISY,
        'default_hooks.checkpoint.batches': every,
        'train_dataloader.num_workers': workers,
    }
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    done = train(whole, model, **options)
    assert done['codes'] == [0], done['output']
    # the first run of a session pays for what is imported late: take times from a second one
    done = train(tmp_path / 'timed', model, **options)
    # the whole run once more does nothing but start: what lies between is the training
    startup = train(whole, model, {'resume': True}, **options)['cpu_seconds']
    training = done['cpu_seconds'] - startup

    rng = random.Random(f'{model} {workers}')
    kills = 0
    while True:
        # anywhere from before the first file is written to some batches after the resume
        delay = rng.uniform(0.5 * startup, startup + 0.03 * training) if kills < 20 else None
        found = train(killed, model, {'resume': True, 'kill_after': delay}, **options)
        if found['codes'] == [0]:
            break
        assert found['codes'] == [-9], found['output']
        kills += 1
    assert kills == 20
    assert_same_run(whole, killed)
