"""tools/sweep.py: which combinations it tries, what it refuses, and its table."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import ROOT, TINY_TRANSFORMER, call, call_apart
from hypothesis import given
from hypothesis import strategies as st
from made_runs import MadeUp, scores_of
from scipy import stats

from abawfw.apis.sweep import sweep
from abawfw.components import build
from abawfw.config.loading import resolve
from abawfw.config.overrides import parse_words
from abawfw.datasets.seen import data_seen
from abawfw.errors import ConfigError, DataError
from abawfw.registry import DATASETS
from abawfw.series.runs import Series
from abawfw.series.sweep_space import draw, grid, read_space, run_name, to_run

CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'
SPACE = {'lr': [1e-3, 1e-2], 'optim_wrapper.optimizer.betas': [[0.9, 0.99], [0.5, 0.9]], 'heads': [2]}


@pytest.fixture
def series(demo_data: Path, tmp_path: Path) -> Series:
    return Series(CONFIG, tmp_path / 'sweep', ROOT / 'tools', str(demo_data), ('hidden=16',))


def space_file(folder: Path, text: str) -> Path:
    path = folder / 'space.py'
    path.write_text(text)
    return path


def test_grid_is_every_combination_in_order() -> None:
    found = grid(SPACE)
    assert [(v['lr'], v['optim_wrapper.optimizer.betas']) for v in found] == [
        (1e-3, [0.9, 0.99]),
        (1e-3, [0.5, 0.9]),
        (1e-2, [0.9, 0.99]),
        (1e-2, [0.5, 0.9]),
    ]
    with pytest.raises(ConfigError, match=r'^b: a distribution has no grid; .*--trials N'):
        grid({'a': [1], 'b': stats.norm()})


def test_draws_are_stable_distinct_and_from_the_space() -> None:
    space = {'a': stats.loguniform(1e-5, 1e-2), 'b': [1, 2, 3], 'c': stats.randint(0, 4)}
    found = draw(space, 20, seed=3)
    assert found[:7] == draw(space, 7, seed=3)
    assert found != draw(space, 20, seed=4)
    assert len({run_name(v) for v in found}) == 20
    assert all(1e-5 <= v['a'] <= 1e-2 and v['b'] in (1, 2, 3) and v['c'] in range(4) for v in found)
    assert {type(v['a']) for v in found} == {float}
    assert {type(v['c']) for v in found} == {int}
    assert {v['b'] for v in found} == {1, 2, 3}


def test_draws_from_a_small_space() -> None:
    assert sorted(v['a'] for v in draw({'a': [1, 2, 3]}, 3, 0)) == [1, 2, 3]
    with pytest.raises(ConfigError, match='--trials 4: the space has 3 combinations'):
        draw({'a': [1, 2, 3]}, 4, 0)
    with pytest.raises(ConfigError, match='only 2 different combinations were found'):
        draw({'a': stats.randint(0, 2)}, 3, 0)
    with pytest.raises(ConfigError, match='--trials 0'):
        draw({'a': [1]}, 0, 0)
    with pytest.raises(ConfigError, match='--seed -3: it must be 0 or more'):
        draw({'a': [1]}, 1, -3)


SCALARS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.from_regex(r'[a-z][a-z_/.${}]{2,12}', fullmatch=True).filter(
        lambda text: text not in ('true', 'false', 'nan', 'inf', 'infinity')
    ),
)


@given(st.one_of(SCALARS, st.text(max_size=6), st.lists(SCALARS | st.text(max_size=6), max_size=3)))
def test_values_reach_the_run_as_they_are(value: Any) -> None:
    planned = to_run({'key': value})
    read = parse_words(planned.words)['key']
    assert read == value
    assert type(read) is type(value)
    assert '/' not in planned.name
    assert len(planned.name.encode()) < 255


def test_names_of_runs_are_stable_and_differ() -> None:
    assert run_name({'lr': 0.001, 'model.hidden': 16}) == 'lr=0.001,model.hidden=16'
    names = [run_name({'path': text}) for text in ('a/b', 'a_b', 'a$b', 'x' * 300, 'x' * 301)]
    assert len(set(names)) == 5
    assert max(map(len, names)) < 200
    assert names[0] == run_name({'path': 'a/b'})


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('spaec = {"lr": [1]}', 'must assign space'),
        ('space = {}', 'must assign space'),
        ('space = {"lr": 1}', 'lr: a list, or a frozen distribution'),
        ('space = {"lr": []}', 'lr: a list'),
        ('space = {3: [1]}', '3: a key is a text'),
        ('from scipy import stats\nspace = {"lr": stats.norm}', 'lr: a list, or a frozen distribution'),
        ('space = {"losses": [[dict]]}', 'losses: .*cannot stand on a command line'),
        ('space = {"name": [object(), {1, 2}, float("nan"), 1 + 2j]}', '4 problem'),
        ('space = {"lr": [1e-3, 1e-4, 0.001]}', 'lr: 0.001 stands there twice: it would be run once'),
        ('space = {"features": [["a", "b"], ["a", "b"]]}', r"features: \['a', 'b'\] stands there twice"),
        ('space = 1 /', 'SyntaxError'),
        ('import no_such_module', 'ModuleNotFoundError'),
        ('import sys\nsys.exit(0)', r'ends the program while it is read \(sys.exit\(0\)\)'),
    ],
)
def test_what_is_no_space(tmp_path: Path, text: str, message: str) -> None:
    path = space_file(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as error:
        read_space(path)
    assert str(path) in str(error.value)
    with pytest.raises(ConfigError, match='FileNotFoundError'):
        read_space(tmp_path / 'nothing.py')


def test_all_misspelt_keys_at_once(
    demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = space_file(
        tmp_path,
        "space = {'lrr': [1], 'windows.valence': [3], 'transformer.droput': [0.1], 'heads': [2, 4],"
        " 'optim_wrapper.optimizer.betas': [[0.9, 0.99]], 'optim_wraper.x': [1],"
        " 'randomness.sed': [2]}",
    )
    found = call(capfd, 'sweep', CONFIG, path, '--data-root', demo_data, '--out', tmp_path / 'out')
    assert found.code == 2
    for line in (
        "lrr: the config has no 'lrr': did you mean 'lr'?",
        "randomness.sed: randomness has no 'sed': did you mean 'seed'?",
        'windows.valence: no training looks at it, and no raw score',
        "optim_wraper.x: the config has no 'optim_wraper': did you mean 'optim_wrapper'?",
        "droput: TransformerContext has no such argument: did you mean 'dropout'?",
    ):
        assert line in found.err
    assert 'betas' not in found.err
    assert not (tmp_path / 'out').exists()


def test_values_that_change_val(series: Series) -> None:
    """Known before anything is trained, and told apart from those that do not."""
    launcher = MadeUp()
    space = {'val_dataloader.dataset.debug': [1, 2], 'lr': [1e-3]}
    with pytest.raises(ConfigError, match=r'videos of val differ, .*debug=1,lr=0\.001; .*debug=2,lr'):
        sweep(series, grid(space), launcher, lambda line: None)
    assert launcher.launched == []
    sweep(series, grid(space | {'val_dataloader.dataset.debug': [100, 200]}), launcher, lambda line: None)
    assert len(launcher.launched) == 2


def test_data_that_changed_since(spoilt: Path, tmp_path: Path) -> None:
    """A table of runs of other data would be taken for one of these; data that are the same are taken."""
    series = Series(CONFIG, tmp_path / 'sweep', ROOT / 'tools', str(spoilt), ('hidden=16',))
    (row,) = sweep(series, grid({'lr': [1e-3]}), MadeUp(), lambda line: None).rows
    run, cfg = series.out / row['run'], resolve(series.load())
    datasets = [
        build(DATASETS, cfg[f'{of}_dataloader'].dataset.to_dict(), '', fit=False) for of in ('train', 'val')
    ]
    summary = json.loads((run / 'summary.json').read_text())
    (run / 'summary.json').write_text(json.dumps(summary | {'data': data_seen(datasets)}))
    ids = [video.video_id for dataset in datasets for video in dataset.videos]
    (spoilt / 'groups.csv').write_text('video,group\n' + ''.join(f'{of},{of}\n' for of in ids))
    assert sweep(series, grid({'lr': [1e-3]}), MadeUp(), lambda line: None).rows == [row]
    other = shutil.copy(path := spoilt / 'targets/val_valid_targets.h5', tmp_path / 'other.h5')
    with h5py.File(other, 'r+') as file:
        file[f'{datasets[1].videos[0].video_id}/valence'][3] += 1e-3
    other.replace(path)
    with pytest.raises(DataError, match=r'lr=0\.001 has seen other data than .*spoilt holds .*labels diff'):
        sweep(series, grid({'lr': [1e-3]}), MadeUp(), lambda line: None)


def test_table_is_sorted_and_finished_runs_are_skipped(series: Series) -> None:
    launcher = MadeUp()
    found = sweep(series, grid(SPACE), launcher, lambda line: None)
    assert len(launcher.launched) == len(found.rows) == 4
    ccc = [row['ccc'] for row in found.rows]
    assert ccc == sorted(ccc, reverse=True)
    for row in found.rows:
        scores = scores_of(series.out / row['run'])
        assert row['ccc'] == np.mean([scores['ccc_valence'], scores['ccc_arousal']])
        assert row['run'].startswith(f'lr={row["lr"]},')
    with (series.out / 'sweep.csv').open() as file:
        written = list(csv.DictReader(file))
    assert [row['run'] for row in written] == [row['run'] for row in found.rows]
    assert [float(row['ccc']) for row in written] == ccc
    assert {row['optim_wrapper.optimizer.betas'] for row in written} == {'[0.9, 0.99]', '[0.5, 0.9]'}
    more = MadeUp()
    sweep(series, grid(SPACE | {'lr': [1e-2, 1e-1]}), more, lambda line: None)
    assert sorted(job.name for job in more.launched) == [
        'lr=0.1,optim_wrapper.optimizer.betas=[0.5,0.9],heads=2',
        'lr=0.1,optim_wrapper.optimizer.betas=[0.9,0.99],heads=2',
    ]


@pytest.mark.slow
def test_real_runs(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))
    path = space_file(tmp_path, "from scipy import stats\nspace = {'lr': stats.loguniform(1e-4, 1e-2)}")
    words = [CONFIG, path, '--data-root', demo_data, '--trials', 2, '--jobs', 2, '--out', 'sweep']
    words += ['--cfg-options', *TINY_TRANSFORMER]
    found = call_apart('sweep', *words, folder=tmp_path)
    assert found.code == 0, found
    assert 'post-processing, cross-validated where that was tuned on val' in found.out
    assert 'highest raw mean first' in found.out
    runs = sorted(p.name for p in (tmp_path / 'sweep').iterdir() if p.is_dir())
    assert len(runs) == 2
    again = call_apart('sweep', *words, folder=tmp_path)
    assert again.out.splitlines()[0] == '2 of 2 runs are done already'
    assert again.out.splitlines()[-6:] == found.out.splitlines()[-6:]
