"""tools/compare_configs.py: what a protocol says, what it refuses, and its table and page."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ROOT, call, call_apart
from made_runs import MadeUp
from tool_here import tool_here

from abawfw.apis.compare_configs import (
    CSV,
    PAGE,
    compare_configs,
    protocol_text,
    read_protocol,
    rows_of,
)
from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc
from abawfw.results.config_comparison import ConfigComparison
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.series.launchers import Job
from abawfw.visualization.config_page import config_page

CONFIGS = ['rucaim3/transformer_demo.py', 'rucaim3/fclstm_xl_demo.py']


def protocol_file(folder: Path, data: Path, **values: Any) -> Path:
    given = {'data_root': str(data), 'configs': CONFIGS, 'seeds': [1, 2], **values}
    path = folder / 'mine.py'
    path.write_text('\n'.join(f'{k} = {v!r}' for k, v in given.items() if v is not None) + '\n')
    return path


LABELS = {f'v{i}': np.random.default_rng(i).uniform(-1, 1, 50 + i) for i in range(8)}


def noisy(scale: float, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {v: np.clip(x + scale * rng.normal(size=len(x)), -1, 1) for v, x in LABELS.items()}


def write_run(folder: Path, scale: float, seed: int, videos: Any = LABELS) -> Run:
    folder.mkdir(parents=True)
    for target in ('valence', 'arousal'):
        preds = {v: x for v, x in noisy(scale, seed).items() if v in videos}
        write_predictions(folder, 'val', target, preds, {v: LABELS[v] for v in videos}, 0)
    return Run(folder)


class Predicting(MadeUp):
    """Makes up predictions of runs: of the second config better ones."""

    def start(self, job: Job, slot: int) -> Job:
        super().start(job, slot)
        folder = job.work_dir / 'predictions'
        for target in ('valence', 'arousal'):
            seed = sum(job.name.encode())
            preds = noisy(0.1 if 'fclstm' in job.name else 0.6, seed)
            write_predictions(folder, 'val', target, preds, LABELS, 0)
        (job.work_dir / 'metrics.csv').write_text(
            'epoch,val_ccc_valence,val_ccc_arousal\n1,0.1,0.2\n2,0.3,0.1\n'
        )
        path = job.work_dir / 'summary.json'
        costs = {'parameters': 12345, 'seconds': 1000.0 + seed, 'frames_per_second': 6543.2}
        path.write_text(json.dumps(json.loads(path.read_text()) | costs))
        return job


def whole_ccc(preds: dict[str, np.ndarray]) -> float:
    return ccc(np.concatenate(list(LABELS.values())), np.concatenate([preds[v] for v in LABELS]))


def test_table_and_page(demo_data: Path, tmp_path: Path) -> None:
    protocol = read_protocol(protocol_file(tmp_path, demo_data, epochs=3))
    launcher, lines = Predicting(), list[str]()
    found = compare_configs(protocol, tmp_path / 'out', ROOT / 'tools', launcher, lines.append)
    assert [job.name for job in launcher.launched] == [
        f'{name}/seed{seed}' for seed in (1, 2) for name in ('transformer_demo', 'fclstm_xl_demo')
    ]
    assert all('epochs=3' in job.commands[0] for job in launcher.launched)
    assert lines[0].startswith('swapping 2 videos gives no corrected p below 1.000: no difference can be')
    assert found.comparison is not None
    expected = [
        np.mean([whole_ccc(noisy(scale, sum(f'{name}/seed{s}'.encode()))) for s in (1, 2)])
        for name, scale in (('transformer_demo', 0.6), ('fclstm_xl_demo', 0.1))
    ]
    with (tmp_path / 'out' / CSV).open() as file:
        rows = [row for row in csv.DictReader(file) if row['target'] == 'valence']
    assert [float(row['ccc']) for row in rows] == pytest.approx(expected, abs=1e-6)
    assert [row['verdict'] for row in rows] == ['baseline', 'better']
    assert float(rows[0]['ccc_low']) < expected[0] < float(rows[0]['ccc_high'])
    text = protocol_text(found.comparison, found.rows)
    assert 'mean over 2 seeds' in text
    seconds = 1000 + np.mean([sum(f'fclstm_xl_demo/seed{s}'.encode()) for s in (1, 2)])
    header, line = (next(line for line in text.splitlines() if line.startswith(of)) for of in ('con', 'fcl'))
    assert header.split()[-3:] == ['parameters', 'seconds', 'frames/s']
    assert line.split()[-4:] == ['better', '12,345', f'{seconds:,.1f}', '6,543']
    assert '8 videos, no groups known' in text
    page = (tmp_path / 'out' / PAGE).read_text()
    for part in ('Protocol mine', 'Learning curves', 'Video by video', 'fclstm_xl_demo'):
        assert part in page
    again = Predicting()
    compare_configs(protocol, tmp_path / 'out', ROOT / 'tools', again, lines.append)
    assert again.launched == []
    assert lines[-1] == '4 of 4 runs are done already'


ONE = {'config': CONFIGS[0], 'name': 'one'}


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'seed': [1]}, "unknown key 'seed': did you mean 'seeds'?"),
        ({'seeds': None}, "'seeds' is missing"),
        ({'seeds': [1, 1]}, 'seeds: a value stands there twice'),
        ({'seeds': []}, 'seeds: at least one'),
        ({'seeds': ['1']}, 'seeds: a list of whole numbers'),
        ({'configs': CONFIGS[:1]}, 'configs: at least two'),
        ({'configs': CONFIGS[0]}, "configs: a list of paths, not 'rucaim3/transformer_demo.py'"),
        (
            {'configs': [CONFIGS[0], 3]},
            'configs: paths, or dict(config=PATH, name=..., options=[...]), not 3',
        ),
        ({'configs': [CONFIGS[0], {'config': CONFIGS[0]}]}, 'configs: two have the name transformer_demo'),
        (
            {'configs': [ONE, {'config': CONFIGS[1], 'name': 'One'}]},
            'configs: two have names that differ in case alone, one and One: ',
        ),
        (
            {'configs': [CONFIGS[0], {'config': CONFIGS[0], 'name': 'b'}]},
            'configs: b is the same as transformer_demo',
        ),
        (
            {'configs': [CONFIGS[0], {'config': CONFIGS[0], 'option': ['overlap=2']}]},
            "configs: rucaim3/transformer_demo.py: unknown key 'option': did you mean 'options'?",
        ),
        ({'configs': [CONFIGS[0], {'config': CONFIGS[0], 'name': 'a/b'}]}, "'a/b' cannot be a name here"),
        ({'configs': [CONFIGS[0], {'config': CONFIGS[0], 'options': 'x=1'}]}, 'options: a list of texts'),
        ({'options': 5}, 'options: a list of texts, not 5'),
        ({'configs': [CONFIGS[0], {**ONE, 'options': 3}]}, 'options: a list of texts, not 3'),
        (
            {'stage': 'clipped', 'options': ['postprocess.valence=[]']},
            "option postprocess.valence=[] changes nothing of clipped predictions: set stage = 'smoothed'",
        ),
        ({'options': ['windows.valence=9']}, 'option windows.valence=9 changes nothing of raw predictions'),
        ({'epochs': 0}, 'epochs: a whole number of 1 or more, not 0'),
        ({'seconds': 0}, 'seconds: a number above 0, not 0'),
        ({'seconds': '60'}, "seconds: a number above 0, not '60'"),
        ({'stage': 'smooth'}, "stage: 'raw', 'clipped' or 'smoothed', not 'smooth'"),
        ({'configs': [CONFIGS[0], {**ONE, 'name': 'protocol.csv'}]}, 'protocol.csv is the name of a file of'),
        ({'options': ['seed=9']}, 'option seed=9: seeds of the protocol says so for all runs'),
        (
            {'configs': [CONFIGS[0], {**ONE, 'options': ['data_root=x']}]},
            f'{CONFIGS[0]}: option data_root=x: data_root of the protocol says so for all runs',
        ),
        (
            {'epochs': 1, 'configs': [CONFIGS[0], {**ONE, 'options': ['epochs=3']}]},
            f'{CONFIGS[0]}: option epochs=3: epochs of the protocol says so for all runs',
        ),
        (
            {'stage': 'raw', 'configs': [CONFIGS[0], {**ONE, 'options': ['postprocess=[]']}]},
            "option postprocess=[] changes nothing of raw predictions: set stage = 'smoothed'",
        ),
    ],
)
def test_what_is_no_protocol(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = protocol_file(tmp_path, tmp_path, **values)
    with pytest.raises(ConfigError, match='is no protocol') as error:
        read_protocol(path)
    assert message in str(error.value)


OVERLAPPING = {'config': CONFIGS[0], 'name': 'overlapping', 'options': ['overlap=2']}


def test_what_differs_in_its_test_alone_is_trained_once(tmp_path: Path) -> None:
    averaged = {
        'config': CONFIGS[0],
        'name': 'averaged',
        'options': ['custom_hooks=[dict(type=EMAHook,decay=0.99)]'],
    }
    both = {**averaged, 'name': 'both', 'options': [*averaged['options'], 'overlap=3']}
    path = protocol_file(
        tmp_path,
        tmp_path,
        configs=[OVERLAPPING, CONFIGS[0], both, averaged],
        seconds=60,
        options=['overlap_weights=triangle', 'lr=1e-3'],
    )
    series = read_protocol(path).series(tmp_path / 'out', ROOT / 'tools')
    assert list(series) == ['overlapping', 'transformer_demo', 'both', 'averaged']
    assert series['overlapping'][0] is series['transformer_demo'][0]
    assert series['both'][0] is series['averaged'][0] is not series['overlapping'][0]
    for name, number in (('overlapping', '2'), ('both', '3')):
        of, folder = series[name]
        job = of.job(read_protocol(path).runs[0], ['valence'])
        train, *tests = job.commands
        assert 'default_hooks.time_budget=dict(type=TimeBudgetHook,seconds=60)' in train
        assert 'lr=1e-3' in train
        assert 'overlap' not in ' '.join(train[train.index('--cfg-options') :])
        mine = next(test for test in tests if str(job.work_dir / folder) in test)
        assert mine[-3:] == ('--cfg-options', 'overlap_weights=triangle', f'overlap={number}')
        assert len(tests) == len(job.outputs) == 2


class InThisProcess(Predicting):
    """Tests runs, and trains none."""

    def start(self, job: Job, slot: int) -> Job:
        self.launched.append(job)
        for command in job.commands:
            assert Path(command[1]).name == 'test.py'
            found = tool_here('test', *command[2:])
            assert found.returncode == 0, found.stderr
        return job


def test_what_overlap_brings(trained: Path, demo_data: Path, tmp_path: Path) -> None:
    """A run is tested in two ways, and again where one of them has changed."""
    out = tmp_path / 'out'
    shutil.copytree(trained, out / 'plain/seed7', ignore=shutil.ignore_patterns('predictions*'))
    config = str(trained / 'config.py')

    def compared(overlap: int) -> tuple[list[tuple[str, ...]], list[float]]:
        """What was started, and CCC of valence."""
        entry = {**OVERLAPPING, 'config': config, 'options': [f'overlap={overlap}']}
        path = protocol_file(
            tmp_path, demo_data, configs=[{'config': config, 'name': 'plain'}, entry], seeds=[7]
        )
        launcher = InThisProcess()
        found = compare_configs(read_protocol(path), out, ROOT / 'tools', launcher, lambda _: None)
        return (
            [command for job in launcher.launched for command in job.commands],
            [row['ccc'] for row in found.rows if row['target'] == 'valence'],
        )

    def stored(folder: str) -> float:
        run = Run(out / 'plain/seed7', folder)
        labels, preds = run.labels('valence'), run.predictions('valence', 'raw')
        return ccc(np.concatenate(list(labels.values())), np.concatenate([preds[v] for v in labels]))

    started, scores = compared(2)
    assert ['--out' in command for command in started] == [False, True]
    assert scores == pytest.approx([stored('predictions'), stored('predictions_overlapping')], abs=1e-6)
    assert abs(scores[0] - scores[1]) > 1e-4
    assert compared(2) == ([], scores)
    started, others = compared(3)
    assert len(started) == 1
    assert others[0] == scores[0]
    assert others[1] == pytest.approx(stored('predictions_overlapping'), abs=1e-6)
    assert others[1] != scores[1]
    # the row without options is the config's own, however a user has tested the run
    assert tool_here('test', out / 'plain/seed7', '--overlap', 2, '--partition', 'val').returncode == 0
    assert stored('predictions') == pytest.approx(scores[1], abs=1e-6)
    started, again = compared(3)
    assert [command[2:] for command in started] == [(str(out / 'plain/seed7'),)]
    assert again == others


def test_an_overlap_that_cannot_be(demo_data: Path, tmp_path: Path) -> None:
    """Known before anything is trained."""
    for number, (config, problem) in enumerate(
        ((CONFIGS[0], 'clips have'), (CONFIGS[1], 'LSTMContext carries state from the end of a clip'))
    ):
        entry = {'config': config, 'name': 'other', 'options': [f'overlap={(1000, 2)[number]}']}
        protocol = read_protocol(protocol_file(tmp_path, demo_data, configs=[config, entry]))
        launcher = Predicting()
        with pytest.raises(ConfigError, match=rf'mine\.py, other: .*(?s:.*){problem}'):
            compare_configs(protocol, tmp_path / 'out', ROOT / 'tools', launcher, lambda _: None)
        assert launcher.launched == []


def test_a_file_in_place_of_the_folder(demo_data: Path, tmp_path: Path) -> None:
    protocol = read_protocol(protocol_file(tmp_path, demo_data))
    with pytest.raises(ConfigError, match=r'mine\.py is a file: choose another folder .* with --out'):
        compare_configs(protocol, protocol.path, ROOT / 'tools', Predicting(), lambda _: None)


def test_configs_of_other_features(
    demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / 'other.py'
    other.write_text(f"_base_ = '{ROOT}/configs/{CONFIGS[1]}'\nfeatures = ['affectnet']\n")
    path = protocol_file(tmp_path, demo_data, configs=[CONFIGS[0], 'other.py'])
    found = call(capfd, 'compare_configs', path, '--out', tmp_path / 'out')
    assert found.code == 2
    assert 'the configs cannot be compared, for they differ in\n  features: transformer_demo has' in found.err
    assert not (tmp_path / 'out').exists()


def test_seeds_and_folds_together(tmp_path: Path) -> None:
    """Folds of a seed are one score over all of their videos; seeds are averaged."""
    first, second = list(LABELS)[:4], list(LABELS)[4:]
    configs = {
        name: [
            [
                write_run(tmp_path / name / f'{seed}{fold}', scale, seed, videos)
                for fold, videos in enumerate((first, second))
            ]
            for seed in (1, 2, 3)
        ]
        for name, scale in (('a', 0.4), ('b', 0.4))
    }
    found = ConfigComparison(configs)
    expected = [whole_ccc(noisy(0.4, seed)) for seed in (1, 2, 3)]
    assert found.by_seed['valence'][0] == pytest.approx(expected, abs=1e-6)
    assert found.mean(0, 'valence') == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.spread(0, 'valence') == pytest.approx(np.std(expected, ddof=1), abs=1e-6)
    assert found.scores[0].verdict == 'equal to 4 digits'
    assert [row['config'] for row in rows_of(found)] == ['a'] * 3 + ['b'] * 3
    twice = {name: [[run[0], run[0]] for run in runs] for name, runs in configs.items()}
    with pytest.raises(DataError, match='is validated in another fold, too'):
        ConfigComparison(twice)
    with pytest.raises(ConfigError, match='a: 6 runs, b: 4 runs'):
        ConfigComparison({'a': configs['a'], 'b': configs['b'][:2]})


def test_notes_are_those_of_its_runs(tmp_path: Path) -> None:
    """Text and page show what speaks against a score, as for runs alone."""
    videos = list(LABELS)[:6]
    configs = {
        name: [[write_run(tmp_path / name / f'seed{k}', scale, k, videos)] for k in (1, 2)]
        for name, scale in (('a', 0.6), ('b', 0.1))
    }
    rows = [{'target': 'arousal', 'stage': 'cross-validated'}]
    (tmp_path / 'b/seed2/report.json').write_text(json.dumps({'rows': {'val': rows}}))
    found = ConfigComparison(configs, 'smoothed')
    shown = protocol_text(found, rows_of(found)), config_page(found, 'mine').render()
    for note in (
        'wapping 6 videos gives no corrected p below 0.062: no difference can be significant with so few',
        'ost-processing was tuned on these very videos in b/seed2 (arousal), which flatters',
    ):
        assert all(note in text for text in shown)
    assert not any('tuned' in note for note in ConfigComparison(configs).notes)
    few = {name: [[write_run(tmp_path / 'few' / name, 0.1, 1, videos[:2])]] for name in configs}
    text = protocol_text(two := ConfigComparison(few), rows_of(two))
    assert 'note: no interval of the CCC of a (valence), b (valence), a (arousal), b (arousal): 2 lab' in text


def test_a_difference_that_seeds_may_turn_around(tmp_path: Path) -> None:
    """The runs are better, while their seeds differ as much as the configs."""
    configs = {
        name: [[write_run(tmp_path / name / str(k), s, k)] for k, s in enumerate(scales)]
        for name, scales in (('a', (0.6, 0.6)), ('b', (0.5, 0.1)))
    }
    found = ConfigComparison(configs)
    scores = [[whole_ccc(noisy(s, k)) for k, s in enumerate(of)] for of in ((0.6, 0.6), (0.5, 0.1))]
    error = np.sqrt(sum(np.var(of, ddof=1) for of in scores) / 2)
    assert [score.verdict for score in found.scores] == ['better'] * 3
    assert found.mean(1, 'valence') - found.mean(0, 'valence') < 2 * error
    assert f'b, valence: the difference has a standard error of {error:.4f} over the seeds' in found.notes[0]
    apart = ConfigComparison(configs | {'b': [configs['b'][1]] * 2})
    assert apart.scores[0].verdict == 'better'
    assert not any('seeds' in note for note in apart.notes)


@pytest.mark.slow
def test_the_protocol_of_the_demo(demo_data: Path, tmp_path: Path) -> None:
    """The shipped one, on less data: real runs from the first command to the page."""
    (tmp_path / 'data').mkdir()
    os.symlink(demo_data, tmp_path / 'data/demo')
    text = (ROOT / 'configs/protocols/demo.py').read_text().replace("'../", "'")
    short = "seeds = [1]\nepochs = 1\noptions = ['hidden=16', 'regressor=[8]', 'constant_epochs=1']"
    (tmp_path / 'demo.py').write_text(f'{text}\n{short}\n')
    found = call_apart('compare_configs', 'demo.py', folder=tmp_path)
    assert found.code == 0, found.err
    assert (tmp_path / 'work_dirs/demo' / PAGE).is_file()
    assert 'not significant does not mean equal' in found.out
