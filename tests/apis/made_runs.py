"""A config with folds, and a launcher that makes up the results of runs instead of training."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from command_line import ROOT

from abawfw.config.loading import load_config
from abawfw.config.overrides import parse_words
from abawfw.series.launchers import Job, Launcher

FOLDS = f"""
_base_ = {str(ROOT / 'configs/rucaim3/transformer_demo.py')!r}
custom_imports = dict(imports=['one_video_split'])
fold = 0
train_dataloader = dict(dataset=dict(split=dict(type='OneVideoSplit', fold='${{fold}}')))
val_dataloader = dict(dataset=dict(split=dict(type='OneVideoSplit', fold='${{fold}}')))
epochs = 2
constant_epochs = 1
lr = 1e-3
hidden = 16
regressor = [8]
segment_length = 40
heads = 2
ffn = 16
layers = 1
"""


class MadeUp(Launcher):
    """Writes what training and testing would, with scores that depend on the name of the run."""

    def __init__(self) -> None:
        super().__init__(None)
        self.launched: list[Job] = []

    def prepare(self) -> None:
        return

    def start(self, job: Job, slot: int) -> Job:
        self.launched.append(job)
        if len(job.commands) == 2:
            trained(job)
        tested(job.work_dir)
        return job

    def outcome(self, handle: Job) -> str:
        return ''

    def stop(self, handles: list[Any]) -> None:
        return


def scores_of(run: Path) -> dict[str, float]:
    """What a made-up run is said to reach."""
    rng = np.random.default_rng(list(run.name.encode()))
    names = ('ccc_valence', 'ccc_arousal', 'ccc_valence_smoothed', 'ccc_arousal_smoothed')
    return {name: float(rng.uniform(-1, 1)) for name in names}


def trained(job: Job) -> None:
    words = list(job.commands[0])
    overrides: dict[str, Any] = {}
    if '--cfg-options' in words:
        overrides = parse_words(words[words.index('--cfg-options') + 1 :])
    for option, key in (('--data-root', 'data_root'), ('--seed', 'seed')):
        if option in words:
            value = words[words.index(option) + 1]
            overrides[key] = int(value) if key == 'seed' else value
    text = load_config(words[2], overrides).pretty_text
    job.work_dir.mkdir(parents=True, exist_ok=True)
    (job.work_dir / 'config.py').write_text(text)
    scores = scores_of(job.work_dir)
    best = {
        f'ccc_{t}': {'score': scores[f'ccc_{t}'], 'epoch': 1, 'file': 'best.pth'}
        for t in ('valence', 'arousal')
    }
    summary = {'status': 'done', 'best': best, 'config_sha256': hashlib.sha256(text.encode()).hexdigest()}
    (job.work_dir / 'summary.json').write_text(json.dumps(summary))


def tested(work_dir: Path) -> None:
    scores = scores_of(work_dir)
    rows = [
        {'target': t, 'stage': stage, 'ccc': scores[f'ccc_{t}_smoothed'] if stage == 'smoothed' else 0.0}
        for t in ('valence', 'arousal')
        for stage in ('raw', 'clipped', 'smoothed')
    ]
    (work_dir / 'predictions').mkdir(exist_ok=True)
    (work_dir / 'predictions/report.json').write_text(json.dumps({'rows': {'val': rows}}))


def recorded(work_dir: Path, words: list[str], folder: str = 'predictions') -> None:
    """Add what a test with these overrides writes down of itself to its report."""
    text = load_config(work_dir / 'config.py', parse_words(words)).pretty_text
    made = {
        'checkpoint': '../best.pth',
        'digest': '',
        'config_sha256': hashlib.sha256(text.encode()).hexdigest(),
    }
    path = work_dir / folder / 'report.json'
    report = json.loads(path.read_text()) | {'made_with': {'val': {'valence': made, 'arousal': made}}}
    path.write_text(json.dumps(report))
