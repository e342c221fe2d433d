"""TensorBoard, Weights & Biases and MLflow by one line of a config: what each has recorded in the end."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import re
import socket
import sqlite3
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import ROOT, TINY_TRANSFORMER, Outcome, call, call_apart
from mmengine.config import Config

from abawfw.engine.vis_backends import mlflow_vis_backend
from abawfw.errors import ConfigError

FIGURES = ('loss', 'lr', 'val_ccc', 'val_ccc_valence', 'val_ccc_arousal')


class Recorded(NamedTuple):
    """What a tracker knows of a run: figures by epoch, values of the config, whether it went well."""

    figures: dict[str, dict[int, float]]
    config: dict[str, str]
    well: bool


def tracked_config(folder: Path, trackers: Sequence[str]) -> Path:
    """A config with each tracker's line among its bases."""
    path = folder / 'tracked.py'
    names = ['rucaim3/transformer_demo', *(f'_base_/{tracker}' for tracker in trackers)]
    path.write_text(f'_base_ = {[f"{ROOT}/configs/{name}.py" for name in names]}\n')
    return path


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A config with one tracker."""
    return tracked_config(tmp_path, [request.param])


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


INSTALLED = [name for name in READERS if importlib.util.find_spec(name) is not None]


def train_tracked(folder: Path, demo_data: Path, *options: str) -> Outcome:
    """Train with all trackers that are installed: importing them takes longer than such a run."""
    tiny = ['--data-root', demo_data, '--cfg-options', *TINY_TRANSFORMER, *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(ROOT))
        patch.setenv('OMP_NUM_THREADS', '1')
        return call_apart('train', tracked_config(folder, INSTALLED), *tiny, folder=folder)


@pytest.fixture(scope='module')
def tracked(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run was trained."""
    folder = tmp_path_factory.mktemp('tracked')
    done = train_tracked(folder, demo_data)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope='module')
def failed(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run has failed."""
    folder = tmp_path_factory.mktemp('failed')
    done = train_tracked(folder, demo_data, 'lr=1e30')
    assert done.code == 2, done.err
    return folder


def read(tracker: str, folder: Path) -> Recorded:
    if tracker not in INSTALLED:
        pytest.skip(f'{tracker} is not installed')
    return READERS[tracker](folder)


@pytest.mark.slow
@pytest.mark.parametrize('tracker', READERS)
def test_a_tracked_run(tracked: Path, tracker: str) -> None:
    found = read(tracker, tracked)
    with (tracked / 'work_dirs/tracked/metrics.csv').open() as file:
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
@pytest.mark.parametrize('tracker', ['wandb', 'mlflow'])
def test_a_failed_run_is_recorded_as_one(failed: Path, tracker: str) -> None:
    assert not read(tracker, failed).well


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


class Answers(BaseHTTPRequestHandler):
    """A server that knows nothing, and says so."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a server that answers."""
    with HTTPServer(('127.0.0.1', 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}'
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of one that takes calls and never answers."""
    with socket.create_server(('127.0.0.1', 0)) as listening:
        yield f'http://127.0.0.1:{listening.getsockname()[1]}'


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.create_server(('127.0.0.1', 0)) as listening:
        return f'http://127.0.0.1:{listening.getsockname()[1]}'


@pytest.mark.skipif(importlib.util.find_spec('mlflow') is None, reason='mlflow is not installed')
@pytest.mark.parametrize(('address', 'why'), [('silent', 'no answer in 0.3 s'), ('nobody', '.*refused')])
@pytest.mark.parametrize('config', ['mlflow'], indirect=True)
def test_a_server_that_does_not_answer_is_told_before_the_run(
    config: Path, address: str, why: str, request: pytest.FixtureRequest, demo_data: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mlflow_vis_backend, 'PATIENCE', 0.3)
    uri = request.getfixturevalue(address)
    found = call(capfd, 'train', config, '--data-root', demo_data, '--cfg-options', f'mlflow_uri={uri}')
    assert found.code == 2
    title, problem = found.err.splitlines()
    assert title == f'error: {config}: 1 problem'
    told = rf'the MLflow server at tracking_uri {uri} cannot be reached \({why}\): '
    assert re.match(rf'  mlflow: {told}', problem)
    assert 'mlflow_uri=' in problem
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('uri', ['server', 'sqlite:///work_dirs/mlflow.db', None])
def test_where_nothing_speaks_against_a_tracker(uri: str | None, request: pytest.FixtureRequest) -> None:
    uri = request.getfixturevalue('server') if uri == 'server' else uri
    assert mlflow_vis_backend.MLflowVisBackend.problem({'tracking_uri': uri}) is None


@pytest.mark.skipif(importlib.util.find_spec('mlflow') is None, reason='mlflow is not installed')
def test_a_database_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / 'mlflow.db').write_text('no database')
    uri = f'sqlite:///{tmp_path}/mlflow.db'
    backend = mlflow_vis_backend.MLflowVisBackend(str(tmp_path / 'run/date/vis_data'), uri)
    with pytest.raises(ConfigError, match=f'MLflow at tracking_uri {uri} accepts no run .*mlflow_uri='):
        backend.add_config(Config({'a': 1}))


def test_a_password_is_not_shown(nobody: str) -> None:
    address = nobody.removeprefix('http://')
    said = mlflow_vis_backend.MLflowVisBackend.problem({'tracking_uri': f'http://me:secret@{address}'})
    assert said is not None
    assert f'tracking_uri {nobody} cannot be reached' in said
    assert 'secret' not in said
