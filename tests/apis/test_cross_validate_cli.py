"""tools/cross_validate.py: which runs it starts, skips and refuses, and its table."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, Outcome, call, call_apart
from forked_python import python
from made_runs import FOLDS, MadeUp, recorded, scores_of

from abawfw.apis.cross_validate import cross_validate
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError
from abawfw.series.runs import Series, to_text
from abawfw.text_files import csv_text

TOOLS = ROOT / 'tools'


@pytest.fixture(autouse=True)
def with_splits(importable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started find the tests' fold rule too."""
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'folds.py'
    path.write_text(FOLDS)
    return path


@pytest.fixture
def series(config: Path, demo_data: Path, tmp_path: Path) -> Series:
    return Series(config, tmp_path / 'cv', TOOLS, str(demo_data), ('hidden=8',))


def started(series: Series, *arguments: Any) -> list[tuple[str, int]]:
    """Names of the runs that are started, and of how many commands."""
    launcher = MadeUp()
    cross_validate(series, *arguments, launcher=launcher, report=lambda line: None)
    return [(job.name, len(job.commands)) for job in launcher.launched]


# --- runs that are made up


def test_commands_of_a_run(series: Series, demo_data: Path) -> None:
    launcher = MadeUp()
    cross_validate(series, [3], launcher, lambda line: None, seeds=[5])
    (job,) = launcher.launched
    train, test = job.commands
    work_dir = series.out / 'fold3_seed5'
    assert train == (
        *(sys.executable, str(TOOLS / 'train.py'), str(series.config), '--work-dir', str(work_dir)),
        *('--resume', '--data-root', str(demo_data), '--seed', '5', '--cfg-options', 'hidden=8', 'fold=3'),
    )
    assert test == (sys.executable, str(TOOLS / 'test.py'), str(work_dir))


def test_the_table_is_the_one_computed_by_hand(series: Series) -> None:
    folds, seeds = [0, 2, 5], [1, 7]
    found = cross_validate(series, folds, MadeUp(), lambda line: None, seeds)
    names = [f'fold{k}_seed{s}' for s in seeds for k in folds]
    assert [row['run'] for row in found.rows] == [*names, 'mean', 'deviation']
    by_hand = [scores_of(series.out / name) for name in names]
    for one in by_hand:
        one['ccc'] = (one['ccc_valence'] + one['ccc_arousal']) / 2
        one['ccc_smoothed'] = (one['ccc_valence_smoothed'] + one['ccc_arousal_smoothed']) / 2
    with (series.out / 'cross_validation.csv').open() as file:
        written = list(csv.DictReader(file))
    assert [(row['fold'], row['seed']) for row in written[:2]] == [('0', '1'), ('2', '1')]
    for key in by_hand[0]:
        values = [one[key] for one in by_hand]
        expected = [*values, statistics.fmean(values), statistics.stdev(values)]
        assert [float(row[key]) for row in written] == expected
    text = to_text(found.rows).splitlines()
    assert len(text) == 2 + 6 + 2
    assert text[2].split()[:4] == ['fold0_seed1', '0', '1', f'{by_hand[0]["ccc"]:.4f}']


def test_one_fold_has_no_standard_deviation(series: Series) -> None:
    found = cross_validate(series, [0], MadeUp(), lambda line: None)
    assert found.rows[-1]['ccc'] is None
    assert csv_text(found.rows).splitlines()[-1].startswith('deviation,,,')


def test_only_what_is_left_is_done(series: Series) -> None:
    assert started(series, [0, 1]) == [('fold0', 2), ('fold1', 2)]
    assert started(series, [0, 1]) == []
    (series.out / 'fold0/predictions/report.json').unlink()
    summary = json.loads((series.out / 'fold1/summary.json').read_text())
    (series.out / 'fold1/summary.json').write_text(json.dumps(summary | {'status': 'running'}))
    assert started(series, [0, 1, 2]) == [('fold0', 1), ('fold1', 2), ('fold2', 2)]
    # tested for one target only
    path = series.out / 'fold2/predictions/report.json'
    rows = [r for r in json.loads(path.read_text())['rows']['val'] if r['target'] == 'valence']
    path.write_text(json.dumps({'rows': {'val': rows}}))
    assert started(series, [0, 1, 2]) == [('fold2', 1)]
    # a test was killed while it wrote
    (series.out / 'fold1/predictions/incomplete.txt').write_text('test valence\nval arousal\n')
    assert started(series, [0, 1]) == [('fold1', 1)]


def test_what_a_user_has_tested_otherwise_is_tested_again(series: Series) -> None:
    started(series, [0, 1, 2, 3])
    for fold, words in ((0, ['overlap=2']), (1, []), (2, []), (3, [])):
        recorded(series.out / f'fold{fold}', words)
    (series.out / 'fold2/best.pth').write_text('weights of a later training')
    window, searched = ([{'type': 'MeanSmoothing', 'window': n}] for n in (20, 30))
    fitted = [*window, {'type': 'AffineCalibration', 'slope': 1.5, 'intercept': 0.1}]
    for fold, configured, applied in (
        (1, [*window, {'type': 'AffineCalibration'}], fitted),
        (3, window, searched),
    ):
        made = {'checkpoint': 'best.pth', 'digest': '', 'configured': configured, 'postprocess': applied}
        path = series.out / f'fold{fold}/predictions/postprocess_valence.json'
        path.write_text(json.dumps(made))
    launcher, lines = MadeUp(), list[str]()
    cross_validate(series, [0, 1, 2, 3], launcher, lines.append)
    assert [(job.name, len(job.commands)) for job in launcher.launched] == [
        ('fold0', 1),
        ('fold2', 1),
        ('fold3', 1),
    ]
    assert lines[0] == '1 of 4 runs are done already'
    assert [line for line in lines if 'tested again' in line] == [
        'fold0: what predictions/ holds was made with other settings: it is tested again',
        'fold2: what predictions/ holds was made with other weights: it is tested again',
        'fold3: what predictions/ holds was made with searched post-processing: it is tested again',
    ]


def test_a_changed_config_is_refused(series: Series, config: Path, demo_data: Path) -> None:
    started(series, [0, 1])
    before = {p: p.read_bytes() for p in series.out.rglob('*') if p.is_file()}
    config.write_text(FOLDS.replace('lr = 1e-3', 'lr = 1e-4'))
    with pytest.raises(ConfigError) as error:
        started(series, [0, 1, 2])
    assert str(error.value).splitlines() == [
        f'{series.out} holds runs of another config; it was -> it is now',
        '  fold0, fold1: lr: 0.001 -> 0.0001',
        'undo the change, choose another folder with --out, or delete these runs',
    ]
    assert before == {p: p.read_bytes() for p in series.out.rglob('*') if p.is_file()}
    # a run that was killed before its first summary
    (series.out / 'fold0/summary.json').unlink()
    with pytest.raises(ConfigError, match='fold0, fold1: lr'):
        started(series, [0, 1])
    config.write_text(FOLDS)
    assert started(series, [0, 1]) == [('fold0', 2)]


def test_folds_that_balance_labels(series: Series, config: Path) -> None:
    config.write_text(
        FOLDS.replace("'OneVideoSplit', fold='${fold}'", "'BalancedKFold', fold='${fold}', folds=3")
    )
    assert started(series, [0, 1, 2]) == [('fold0', 2), ('fold1', 2), ('fold2', 2)]
    config.write_text(
        FOLDS.replace("'OneVideoSplit', fold='${fold}'", "'BalancedKFold', fold='${fold}', folds=9")
    )
    with pytest.raises(ConfigError, match='cannot fill 9 folds'):
        started(series, [0, 1, 2])


# --- what is refused before anything is started


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            ['--folds', 0, 6, -1],
            'fold 6: split: OneVideoSplit(fold=6): folds are 0 to 5\nfold -1: split: OneVideoSplit(',
        ),
        (['--folds', 0, 1, 0], '--folds: 0 named twice'),
        (['--seeds', 3, 3], '--seeds: 3 named twice'),
        (['--cfg-options', 'hiden=8'], "did you mean 'hidden'?"),
        (['--cfg-options', 'hidden'], '--cfg-options hidden: give KEY=VALUE'),
        (['--cfg-options', 'features=[afectnet]'], "did you mean 'affectnet'?"),
        (['--data-root', 'nowhere'], 'nowhere'),
        (['--jobs', 0], 'jobs=0'),
        (['--engine-options', 'time=3'], "the engine local has no option 'time'"),
        (['--engine', 'ray', '--engine-options', 'gpu=3'], "has no option 'gpu'; did you mean 'gpus'?"),
        (['--engine', 'ray', '--engine-options', 'cpus=some'], "ray: cpus='some': must be a whole number"),
        (['--engine', 'slurm', '--engine-options', 'jobs=2'], "slurm has no option 'jobs'"),
    ],
)
def test_refused(
    config: Path,
    demo_data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: list[Any],
    message: str,
) -> None:
    out = tmp_path / 'out'
    found = call(capfd, 'cross_validate', config, '--data-root', demo_data, '--out', out, *options)
    assert found.code == 2, found
    assert message in found.err
    assert 'Traceback' not in found.err
    assert not out.exists()


def test_a_config_without_folds(
    config: Path, demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = ROOT / 'configs/rucaim3/transformer_demo.py'
    options = ['--data-root', demo_data, '--out', tmp_path / 'out']
    assert "has no value 'fold': the runs of all folds" in call(capfd, 'cross_validate', plain, *options).err
    config.write_text(f'_base_ = {str(plain)!r}\nfold = 0\n')
    assert "'fold', but nothing uses it" in call(capfd, 'cross_validate', config, *options).err
    assert not (tmp_path / 'out').exists()


# --- real runs in processes


FOUR = (0, 1, 3, 5)  # of six
TAGF = ROOT / 'configs/tagf/tagf_embeddings_demo.py'
TINY_TAGF = [
    *('epochs=1', 'warmup=1', 'window=60', 'hop=40', 'regressor=[8]', 'seed=3'),
    *('video_channels=[8,8]', 'audio_channels=[8,8]'),
    *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'),
]


@pytest.fixture(scope='module')
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'trials'
    make_demo_trials(root, videos=(10, 2, 1), scale=0.01)
    return root


def words_of(trials: Path, out: str, folds: Sequence[int] = FOUR, *more: str) -> list[str]:
    named = ['--folds', *map(str, folds), '--jobs', '2', '--out', out]
    return [str(TAGF), '--data-root', str(trials), *named, *more, '--cfg-options', *TINY_TAGF]


def folds_done(folder: Path) -> list[int]:
    return [k for k in FOUR if (folder / f'cv/fold{k}/predictions/report.json').exists()]


def anything_runs_in(folder: Path) -> bool:
    for entry in Path('/proc').glob('[0-9]*/cwd'):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if entry.readlink() == folder:
                return True
    return False


@pytest.fixture(scope='module')
def killed(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, dict[str, int]]:
    """Four folds of TAGF, killed when the first is done, and started again.

    Gives the folder, what the second start printed, and when each file of the folds that were done was
    written before.
    """
    folder = tmp_path_factory.mktemp('killed')
    words = words_of(trials, 'cv')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(ROOT))
        patch.setenv('OMP_NUM_THREADS', '1')
        command = [python(), str(TOOLS / 'cross_validate.py'), *words]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            while not folds_done(folder) and process.poll() is None:
                time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
        while anything_runs_in(folder):  # training is sent SIGTERM then, and saves
            time.sleep(0.05)
        done = folds_done(folder)
        written = {str(p): p.stat().st_mtime_ns for k in done for p in (folder / f'cv/fold{k}').rglob('*')}
        return folder, call_apart('cross_validate', *words, folder=folder, timeout=300), written


@pytest.mark.slow
def test_started_again_it_finishes_the_rest_only(killed: tuple[Path, Outcome, dict[str, int]]) -> None:
    folder, again, written = killed
    assert again.code == 0, again
    done = {Path(p).parts[len(folder.parts) + 1] for p in written}
    assert 1 <= len(done) < 4
    assert {path: Path(path).stat().st_mtime_ns for path in written} == written
    assert again.out.splitlines()[0] == f'{len(done)} of 4 runs are done already'
    assert {f'fold{k}' for k in FOUR if f'fold{k}: done (' in again.out} == {f'fold{k}' for k in FOUR} - done


@pytest.mark.slow
def test_the_table_is_that_of_the_summaries(killed: tuple[Path, Outcome, dict[str, int]]) -> None:
    folder = killed[0]
    summaries = [json.loads((folder / f'cv/fold{k}/summary.json').read_text()) for k in FOUR]
    assert [s['status'] for s in summaries] == ['done'] * 4
    with (folder / 'cv/cross_validation.csv').open() as file:
        rows = {row['run']: row for row in csv.DictReader(file)}
    assert list(rows) == [*(f'fold{k}' for k in FOUR), 'mean', 'deviation']
    by_hand = {
        f'ccc_{t}': [s['best'][f'ccc_{t}']['score'] for s in summaries] for t in ('valence', 'arousal')
    }
    by_hand['ccc'] = [(v + a) / 2 for v, a in zip(*by_hand.values(), strict=True)]
    for name, scores in by_hand.items():
        assert len(set(scores)) == 4
        assert [float(rows[f'fold{k}'][name]) for k in FOUR] == scores
        assert float(rows['mean'][name]) == statistics.fmean(scores)
        assert float(rows['deviation'][name]) == statistics.stdev(scores)


@pytest.mark.slow
def test_each_fold_validates_videos_of_its_own(
    killed: tuple[Path, Outcome, dict[str, int]], trials: Path
) -> None:
    """Ten training videos are five ranges of two; fold 1 validates the last, fold 5 the first."""
    files = [killed[0] / f'cv/fold{k}/predictions/val_pred_valence_nosmooth.json' for k in FOUR]
    videos = [sorted(json.loads(path.read_text())) for path in files]
    stored = open_store(trials).videos()
    train, val = ([v.video_id for v in stored if v.partition == p] for p in ('train', 'val'))
    ranges = {k: train[10 - 2 * k : 12 - 2 * k] for k in FOUR[1:]}
    assert videos == [sorted(names) for names in (val, *ranges.values())]


@pytest.mark.slow
def test_the_folds_make_one_submission(killed: tuple[Path, Outcome, dict[str, int]]) -> None:
    folder = killed[0]
    found = call_apart('ensemble', 'cv', '--out', 'submit', folder=folder)
    assert found.code == 0, found.err
    assert found.out.count('val of 4 folds') == 2


@pytest.mark.slow
def test_the_same_under_ray(killed: tuple[Path, Outcome, dict[str, int]], trials: Path) -> None:
    pytest.importorskip('ray', reason='needs the extra ray')
    folder = killed[0]
    words = words_of(trials, 'cv_ray', [3], '--engine', 'ray')
    found = call_apart('cross_validate', *words, folder=folder, timeout=300)
    assert found.code == 0, found.err
    assert '(1 of 1)' in found.out
    local, ray = ((folder / name / 'cross_validation.csv').read_text() for name in ('cv', 'cv_ray'))
    header, *rows = local.splitlines()
    assert ray.splitlines()[:2] == [header, rows[FOUR.index(3)]]


@pytest.mark.slow
def test_runs_that_fail(config: Path, demo_data: Path, tmp_path: Path) -> None:
    """The first epoch's loss is infinite: both attempts end with an error, which is shown."""
    words = ['--data-root', demo_data, '--folds', 0, '--out', 'cv', '--cfg-options', 'lr=1e38', 'seed=1']
    found = call_apart('cross_validate', config, *words, folder=tmp_path)
    assert found.code == 1, found
    assert 'fold0: failed with exit code 2; it is started once more' in found.out
    assert 'fold0 failed with exit code 2; the end of' in found.out
    assert '  error: ' in found.out
    assert found.out.endswith('1 run failed; the same command tries them again\n')
    assert not (tmp_path / 'cv/cross_validation.csv').exists()
