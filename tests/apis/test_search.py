"""Sweeps that search: what they try, what is left after a stop, and what the best is worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_runs
import numpy as np
import pytest
from command_line import ROOT, call
from killed import interrupted_at
from made_runs import MadeUp, scores_of
from scipy import stats

from abawfw.apis.sweep import cross_validated_choice, search
from abawfw.errors import ConfigError, DataError, Interrupted
from abawfw.evaluation.functional import ccc
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.results.study_file import STUDY
from abawfw.series.launchers import Job
from abawfw.series.runs import Series, SeriesResult
from abawfw.series.study import Study

CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'
SPACE = {'lr': stats.loguniform(1e-4, 1e-2), 'heads': [2, 4], 'segment_length': stats.randint(20, 29)}


def quiet(_: str) -> None:
    return


@pytest.fixture
def series(demo_data: Path, tmp_path: Path) -> Series:
    return Series(CONFIG, tmp_path / 'sweep', ROOT / 'tools', str(demo_data), ('heads=2', 'hidden=16'))


class Quick(MadeUp):
    """Makes up the scores of runs alone; ends as by Ctrl-C when so many are done."""

    interval = 0.0

    def __init__(self, score: Callable[[Path], dict[str, float]] = scores_of, after: int = 1000) -> None:
        super().__init__()
        self.score, self.after = score, after

    def start(self, job: Job, slot: int) -> Job:
        if len(self.launched) == self.after:
            raise KeyboardInterrupt
        self.launched.append(job)
        self.finish(job)
        return job

    def finish(self, job: Job) -> None:
        job.work_dir.mkdir()
        best = {key: {'score': value} for key, value in self.score(job.work_dir).items()}
        (job.work_dir / 'summary.json').write_text(json.dumps({'status': 'done', 'best': best}))
        made_runs.tested(job.work_dir)


class Two(Quick):
    """Two runs at a time; every other one takes longer than two that begin after it."""

    def __init__(self, after: int = 1000) -> None:
        super().__init__(after=after)
        self.jobs, self.looks = 2, dict[Path, int]()

    def start(self, job: Job, slot: int) -> Job:
        if len(self.launched) == self.after:
            raise KeyboardInterrupt
        self.launched.append(job)
        self.looks[job.work_dir] = 3 if len(self.launched) % 2 else 1
        return job

    def outcome(self, handle: Job) -> Any:
        self.looks[handle.work_dir] -= 1
        if self.looks[handle.work_dir]:
            return None
        self.finish(handle)
        return ''


def run_search(series: Series, trials: int, launcher: Any, **more: Any) -> SeriesResult:
    return search(series, SPACE, trials, 3, launcher, quiet, **more)


def test_a_stopped_search_ends_as_if_it_had_not_been(series: Series, tmp_path: Path) -> None:
    whole = run_search(series, 14, Quick())
    assert len(whole.rows) == 14
    other = Series(CONFIG, tmp_path / 'other', series.tools, series.data_root, series.words)
    for after in (5, 6):
        with pytest.raises(Interrupted):
            run_search(other, 14, Quick(after=after))
    last = Quick()
    found = run_search(other, 14, last)
    assert found.rows == whole.rows
    assert len(last.launched) == 3  # those that are done are not started again
    assert run_search(other, 14, Quick()).rows == whole.rows


def test_two_at_a_time_lose_no_trial(series: Series) -> None:
    done = set[str]()
    for after in (4, 3, 1000):
        launcher = Two(after)
        if after < 1000:
            with pytest.raises(Interrupted):
                run_search(series, 9, launcher)
        else:
            found = run_search(series, 9, launcher)
        assert not done & {job.name for job in launcher.launched}  # what is done is not started again
        done |= {job.name for job in launcher.launched if job.done()}
    assert {row['run'] for row in found.rows} == done
    assert len(done) == 9


def test_later_trials_learn(series: Series) -> None:
    """Where a small rate is best, more than by chance is small: half of the draws would be below 1e-3."""

    def score(run: Path) -> dict[str, float]:
        rate = float(run.name.split('lr=')[1].split(',')[0])
        return dict.fromkeys(scores_of(run), -abs(np.log10(rate) + 3.9))

    found = run_search(series, 40, Quick(score))
    late = [row['lr'] for row in found.rows if int(row['run'].partition(',')[0]) >= 15]
    assert np.mean(np.array(late) < 1e-3) > 0.8
    assert all(1e-4 <= row['lr'] <= 1e-2 and row['heads'] in (2, 4) for row in found.rows)
    assert {row['segment_length'] for row in found.rows} <= set(range(20, 29))


def test_what_is_left_of_a_damaged_file(series: Series) -> None:
    run_search(series, 4, Quick())
    path = series.out / STUDY
    content = path.read_bytes()
    path.write_bytes(content[:-20])  # killed while it wrote
    assert len(run_search(series, 5, Quick()).rows) == 5
    path.write_text('no file of a search\n')
    with pytest.raises(ConfigError, match=r'study\.log, line 1: is no entry of a search'):
        run_search(series, 5, Quick())
    path.write_text('{"a": 1}\n')
    with pytest.raises(ConfigError, match=r'study\.log: is no file of a search'):
        run_search(series, 5, Quick())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'seed': 4}, 'another seed'),
        ({'sampler': 'random'}, 'another sampler'),
        ({'pruner': 'median'}, 'another pruner'),
        ({'space': {**SPACE, 'heads': [2, 8]}}, 'another space'),
    ],
)
def test_a_file_of_another_search(series: Series, change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {'space': SPACE, 'seed': 3, 'sampler': 'tpe', 'pruner': 'asha'}
    search(series, trials=1, launcher=Quick(), report=quiet, **given)
    given |= change
    with pytest.raises(ConfigError, match=message):
        search(series, trials=2, launcher=Quick(), report=quiet, **given)
    other = Series(CONFIG, series.out, series.tools, series.data_root, ('hidden=32',))
    with pytest.raises(ConfigError, match='another config'):
        run_search(other, 2, Quick())


def test_a_file_that_does_not_say_which_pruner(tmp_path: Path) -> None:
    search_of = 'tpe', 3, 'config', ['valence']
    Study(tmp_path, SPACE, *search_of, 'asha')
    path = tmp_path / STUDY
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join(line for line in lines if '"pruner"' not in line))
    Study(tmp_path, SPACE, *search_of, 'median')
    for other in ('asha', None):
        with pytest.raises(ConfigError, match='another pruner'):
            Study(tmp_path, SPACE, *search_of, other)


def test_a_search_killed_at_any_write_draws_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = pytest.importorskip('optuna.storages.journal', reason='needs optuna').JournalFileBackend
    real = backend.append_logs

    def drawn(folder: Path) -> dict[int, Any]:
        found: dict[int, Any] = {}

        def make(number: int, values: Any) -> Job:
            found[number] = values
            return Job(str(number), (), folder / 'none')

        list(Study(folder, SPACE, 'tpe', 3, 'config', ['valence']).jobs(2, make))
        return found

    whole = drawn(tmp_path / 'whole')
    assert list(whole) == [0, 1]
    writes = len((tmp_path / 'whole' / STUDY).read_text().splitlines())
    for last in range(writes):
        with monkeypatch.context() as patch:
            patch.setattr(backend, 'append_logs', interrupted_at(last, real))
            with pytest.raises(KeyboardInterrupt):
                drawn(tmp_path / str(last))
        assert drawn(tmp_path / str(last)) == whole


def test_trials_that_a_user_has_tested_otherwise(series: Series) -> None:
    """They are tested again; the others, and their training, are left alone."""
    first = Quick()
    run_search(series, 2, first)
    for job, words in zip(first.launched, (['overlap=2'], []), strict=True):
        made_runs.trained(job)
        made_runs.recorded(job.work_dir, words)
    again, lines = Quick(), list[str]()
    again.finish = lambda job: made_runs.recorded(job.work_dir, [])  # type: ignore[method-assign]
    assert len(search(series, SPACE, 2, 3, again, lines.append).rows) == 2
    assert [job.name for job in again.launched] == [first.launched[0].name]
    assert [Path(command[1]).name for command in again.launched[0].commands] == ['test.py']
    assert lines[0] == (
        f'{first.launched[0].name}: what predictions/ holds was made with other settings: it is tested again'
    )


def test_what_has_no_bounds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'lr: a search takes lists, and uniform.*, not norm'):
        Study(tmp_path, {'lr': stats.norm()}, 'tpe', 0, '', ['valence'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--sampler', 'tpe'], 'say how many, --trials N'),
        (['--pruner', 'asha'], 'say how many, --trials N'),
        (['--seed', 3], 'say how many, --trials N'),
        (['--sampler', 'grid', '--trials', 3], 'omit --trials'),
        (['--sampler', 'tpe', '--trials', 0], '--trials 0: it must be 1 or more'),
    ],
)
def test_options(
    options: list[Any], message: str, series: Series, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / 'space.py'
    space.write_text("space = {'lr': [1e-3, 1e-2]}")
    found = call(capfd, 'sweep', CONFIG, space, '--out', tmp_path / 'out', *options)
    assert found.code == 2
    assert message in found.err


def write_run(folder: Path, labels: dict[str, np.ndarray], preds: dict[str, np.ndarray]) -> Run:
    folder.mkdir()
    for target in ('valence', 'arousal'):
        write_predictions(folder, 'val', target, preds, labels, 0)
    return Run(folder)


def test_choosing_the_best_of_runs_of_chance_is_worth_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = {f'v{i}': rng.uniform(-1, 1, 40) for i in range(10)}
    runs = [
        write_run(tmp_path / f'run{k}', labels, {v: rng.uniform(-1, 1, 40) for v in labels})
        for k in range(20)
    ]
    best = max(run_ccc(run, labels) for run in runs)
    found = cross_validated_choice(runs, ['valence', 'arousal'])
    assert found is not None
    assert found.unit == '10 videos, no groups known'
    assert best > 0.05
    assert found.ccc < best / 2
    one = write_run(tmp_path / 'one', {'v': labels['v0']}, {'v': labels['v0']})
    for two in (
        [one, runs[0]],
        [runs[0], one],
    ):  # neither cut to the val of one nor a KeyError
        with pytest.raises(DataError, match='only one has the videos v'):
            cross_validated_choice(two, ['valence'])
    assert cross_validated_choice([one], ['valence']) is None


def run_ccc(run: Run, labels: dict[str, np.ndarray]) -> float:
    preds = run.read('val', 'valence', 'raw').preds
    return ccc(np.concatenate([labels[v] for v in labels]), np.concatenate([preds[v] for v in labels]))


def test_the_choice_is_the_plain_one(tmp_path: Path) -> None:
    """Two runs, each better on other videos: what is chosen without a fold is measured on it."""
    rng = np.random.default_rng(1)
    labels = {f'v{i}': rng.uniform(-1, 1, 30) for i in range(5)}
    noise: Callable[[], np.ndarray] = lambda: rng.uniform(-1, 1, 30)  # noqa: E731
    good = {v: x if i < 3 else noise() for i, (v, x) in enumerate(labels.items())}
    bad = {v: x if i >= 3 else noise() for i, (v, x) in enumerate(labels.items())}
    runs = [write_run(tmp_path / 'a', labels, good), write_run(tmp_path / 'b', labels, bad)]
    pieces = []
    for video in labels:
        rest = [v for v in labels if v != video]

        def score(preds: dict[str, np.ndarray], rest: list[str] = rest) -> float:
            return ccc(np.concatenate([labels[v] for v in rest]), np.concatenate([preds[v] for v in rest]))

        pieces.append((good if score(good) >= score(bad) else bad)[video])
    expected = ccc(np.concatenate(list(labels.values())), np.concatenate(pieces))
    found = cross_validated_choice(runs, ['valence', 'arousal'])
    assert found is not None
    assert found.ccc == pytest.approx(expected, abs=1e-6)
