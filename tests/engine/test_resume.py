"""A run killed at any moment and resumed ends as if nothing had happened."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from same_run import assert_same_run, rows
from tiny_runs import ROOT, tiny_overrides

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


SCHEDULES: dict[str, dict[str, Any]] = {
    'CosineToZero': {'type': 'CosineToZero'},
    # whatever the scores, the first is the best, and the rate falls after the third epoch
    'ReduceOnPlateauLR': {
        'type': 'ReduceOnPlateauLR',
        'monitor': 'ccc',
        'rule': 'greater',
        'threshold_rule': 'abs',
        'threshold': 2.5,
        'patience': 1,
        'factor': 0.5,
        'cooldown': 1,
    },
}
# what CosineToZero(end=5) and the other have in each epoch
FRACTIONS = {
    'CosineToZero': [1.0, 0.904508, 0.654508, 0.345492, 0.095492],
    'ReduceOnPlateauLR': [1, 1, 1, 0.5, 0.5],
}


@pytest.mark.parametrize('name', SCHEDULES)
def test_killed_with_a_schedule_from_elsewhere(train, tiny_data: Path, tmp_path: Path, name: str) -> None:
    """MMEngine's that waits for a score, and the example of docs/your_model.md."""
    page = (ROOT / 'docs/your_model.md').read_text(encoding='utf-8')
    block = re.search(r'```python title="my_parts.py"\n(.*?)```', page, re.DOTALL)
    assert block
    (tmp_path / 'my_parts.py').write_text(block[1])
    options = {'param_scheduler': [SCHEDULES[name]], 'custom_imports': {'imports': ['my_parts']}}
    overrides = tiny_overrides('transformer', tiny_data, **options, epochs=5)
    del overrides['constant_epochs']  # of the schedule that was
    job = {'path': [str(tmp_path)], 'overrides': overrides}
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    done = train(whole, job=job)
    assert done['codes'] == [0], done['output']
    rates = [float(row['lr']) for row in rows(whole)]
    assert rates == pytest.approx([1e-3 * fraction for fraction in FRACTIONS[name]], rel=1e-4)
    for _ in range(4):  # while the second, third ... state is written: each time an epoch more
        found = train(killed, job={**job, 'resume': True, 'prepare': ['die_while_writing']})
        assert found['codes'] == [-9], found['output']
    found = train(killed, job={**job, 'resume': True})
    assert found['codes'] == [0], found['output']
    assert_same_run(whole, killed)
