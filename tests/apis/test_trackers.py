"""TensorBoard, Weights & Biases and MLflow by one line of a config: what each has recorded in the end."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import sqlite3
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import ROOT, TINY_TRANSFORMER, call, call_apart

FIGURES = ('loss', 'lr', 'val_ccc', 'val_ccc_valence', 'val_ccc_arousal')


class Recorded(NamedTuple):
    """What a tracker knows of a run: figures by epoch, values of the config, whether it went well."""

    figures: dict[str, dict[int, float]]
    config: dict[str, str]
    well: bool


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A config with the tracker's line among its bases."""
    path = tmp_path / 'tracked.py'
    bases = [f'{ROOT}/configs/{name}.py' for name in ('rucaim3/transformer_demo', f'_base_/{request.param}')]
    path.write_text(f'_base_ = {bases}\n')
    return path


def read_tensorboard(folder: Path) -> Recorded:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    (events,) = folder.glob('work_dirs/tracked/*/vis_data')
    found = EventAccumulator(str(events))
    found.Reload()
    (text,) = found.Tensors('config/text_summary')
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    values = dict(line.split(' = ', 1) for line in lines if ' = ' in line)
    return Recorded({n: {x.step: x.value for x in found.Scalars(n)} for n in FIGURES}, values, True)


def read_wandb(folder: Path) -> Recorded:
    records = list(wandb_records(folder))
    figures: dict[str, dict[int, float]] = {name: {} for name in FIGURES}
    for record in (r.history for r in records if r.WhichOneof('record_type') == 'history'):
        for item in record.item:
            name = item.key or '.'.join(item.nested_key)
            if name in figures:
                figures[name][record.step.num] = json.loads(item.value_json)
    config = {i.key: i.value_json for r in records for i in r.config.update}
    (code,) = [r.exit.exit_code for r in records if r.WhichOneof('record_type') == 'exit']
    return Recorded(figures, config, code == 0)


def wandb_records(folder: Path) -> Iterator[Any]:
    """The records of W&B's file: 7 bytes, then blocks of 32 KiB with pieces of records, 1 and 4 last ones."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob('work_dirs/tracked/*/vis_data/wandb/offline-run-*/*.wandb')
    raw, at, record = path.read_bytes(), 7, b''
    while at + 7 <= len(raw):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack('<IHB', raw[at : at + 7])
        record += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield Record.FromString(record)
            record = b''


def read_mlflow(folder: Path) -> Recorded:
    with contextlib.closing(sqlite3.connect(folder / 'work_dirs/mlflow.db')) as database:
        ((name, status),) = database.execute('SELECT name, status FROM runs')
        metrics = database.execute('SELECT key, step, value FROM metrics').fetchall()
        params = dict(database.execute('SELECT key, value FROM params'))
        tags = dict(database.execute('SELECT key, value FROM tags'))
    assert (name, tags['work_dir']) == ('tracked', str(folder / 'work_dirs/tracked'))
    figures = {name: {step: value for key, step, value in metrics if key == name} for name in FIGURES}
    return Recorded(figures, params, status == 'FINISHED')


READERS = {'tensorboard': read_tensorboard, 'wandb': read_wandb, 'mlflow': read_mlflow}


def installed(name: str) -> Any:
    there = importlib.util.find_spec(name) is not None
    return pytest.param(name, name, marks=pytest.mark.skipif(not there, reason=f'{name} is not installed'))


TRACKERS = [installed(name) for name in READERS]


@pytest.mark.slow
@pytest.mark.parametrize(('config', 'tracker'), TRACKERS, indirect=['config'])
def test_a_tracked_run(config: Path, tracker: str, demo_data: Path, tmp_path: Path) -> None:
    tiny = ['--data-root', demo_data, '--cfg-options', *TINY_TRANSFORMER]
    done = call_apart('train', config, *tiny, folder=tmp_path)
    assert done.code == 0, done.err
    found = READERS[tracker](tmp_path)
    with (tmp_path / 'work_dirs/tracked/metrics.csv').open() as file:
        rows = list(csv.DictReader(file))
    for name in FIGURES:
        assert found.figures[name] == {
            i + 1: pytest.approx(float(r[name]), rel=1e-6) for i, r in enumerate(rows)
        }
    assert len(rows) == 2
    assert found.config['hidden'] == '16'  # of the command line
    assert found.config['ffn'] == '16'
    assert found.well


@pytest.mark.slow
@pytest.mark.parametrize(('config', 'tracker'), TRACKERS[1:], indirect=['config'])
def test_a_failed_run_is_recorded_as_one(config: Path, tracker: str, demo_data: Path, tmp_path: Path) -> None:
    tiny = ['--data-root', demo_data, '--cfg-options', *TINY_TRANSFORMER, 'lr=1e30']
    done = call_apart('train', config, *tiny, folder=tmp_path)
    assert done.code == 2, done.err
    assert not READERS[tracker](tmp_path).well


@pytest.mark.parametrize(
    ('config', 'needed'),
    [
        ('tensorboard', 'TensorboardVisBackend needs tensorboard'),
        ('wandb', 'WandbVisBackend needs wandb'),
        ('mlflow', 'MLflowVisBackend needs mlflow, sqlalchemy, alembic'),
    ],
    indirect=['config'],
)
def test_a_tracker_that_is_not_installed_is_told_before_the_run(
    config: Path,
    needed: str,
    demo_data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    real, trackers = importlib.util.find_spec, (*READERS, 'sqlalchemy', 'alembic')
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *rest: None if name in trackers else real(name, *rest)
    )
    found = call(capfd, 'train', config, '--data-root', demo_data)
    assert found.code == 2
    extra = needed.split()[2].rstrip(',')
    assert f'{extra}: {needed}, which is not installed: pip install -e .[{extra}]' in found.err
    assert not (tmp_path / 'work_dirs').exists()


def test_no_tracker_is_on_by_default(demo_data: Path) -> None:
    from abawfw.config import TRACKERS, load_config

    for path in (ROOT / 'configs').rglob('*.py'):
        assert path.parent.name == '_base_' or not {'visualizer', *TRACKERS} & set(load_config(path)), path
