"""Several configs under one protocol: the same data, seeds and budget; one table, one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abawfw.apis.check import check_config
from abawfw.apis.cross_validate import fold_runs
from abawfw.config.loading import VAConfig, load_config, resolve
from abawfw.datasets.splits.build import build_split
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError, counted, nearest
from abawfw.files import write_text
from abawfw.results.compared_score import MEAN, level_text
from abawfw.results.config_comparison import ConfigComparison
from abawfw.results.report_table import aligned
from abawfw.results.run import Run
from abawfw.series.launchers.base import Failure, Launcher, Report
from abawfw.series.runs import PlannedRun, Row, Series, launch, to_csv
from abawfw.visualization.config_page import config_page

CSV, PAGE = 'protocol.csv', 'protocol.html'
KEYS = ('data_root', 'configs', 'seeds', 'folds', 'epochs', 'options', 'stage')


@dataclass(frozen=True)
class Protocol:
    """What a protocol file says.

    Attributes:
        path: the file.
        data_root: folder of the store that all configs take.
        configs: files of the configs, by name.
        seeds: of the runs of each.
        folds: of the data, each with every seed; none for the split of the configs.
        options: overrides of all runs, as after ``--cfg-options``; the budget in epochs is one of them.
        stage: of the predictions that are compared.
    """

    path: Path
    data_root: str
    configs: dict[str, Path]
    seeds: tuple[int, ...]
    folds: tuple[int, ...] = ()
    options: tuple[str, ...] = ()
    stage: str = 'raw'

    @property
    def runs(self) -> list[PlannedRun]:
        """The runs of each config, seed by seed."""
        if self.folds:
            return fold_runs(self.folds, self.seeds)
        return [PlannedRun(f'seed{seed}', {'seed': seed}, (), seed) for seed in self.seeds]

    def series(self, out: Path, tools: Path) -> dict[str, Series]:
        """The series of runs of each config, by name."""
        return {
            name: Series(config, out / name, tools, self.data_root, self.options)
            for name, config in self.configs.items()
        }


def read_protocol(path: Path) -> Protocol:
    """Read a protocol: a config with ``data_root``, ``configs`` and ``seeds``.

    It may have ``folds``, ``epochs`` (the budget of every run), ``options`` and ``stage``. Configs are named
    by their path from the protocol's folder, or as shipped ones are (``rucaim3/transformer_demo.py``).

    Raises:
        ConfigError: the file cannot be read, or what it says is no protocol; all at once.
    """
    given = load_config(path).to_dict()
    problems = [f"unknown key '{key}': {nearest(key, KEYS)}" for key in given if key not in KEYS]
    problems += [f"'{key}' is missing" for key in KEYS[:3] if key not in given]
    for key, kind in (('seeds', int), ('folds', int), ('configs', str), ('options', str)):
        values = given.get(key) or []
        if not isinstance(values, (list, tuple)) or any(type(v) is not kind for v in values):
            problems.append(f'{key}: a list of {"whole numbers" if kind is int else "texts"}, not {values!r}')
        elif len(set(values)) < len(values):
            problems.append(f'{key}: a value stands there twice: {list(values)}')
    if not problems:
        problems += [f'{key}: at least one' for key in ('seeds',) if not given[key]]
        problems += ['configs: at least two'] if len(given['configs']) < 2 else []
        epochs = given.get('epochs')
        if epochs is not None and (type(epochs) is not int or epochs < 1):
            problems.append(f'epochs: a whole number of 1 or more, not {epochs!r}')
        if given.get('stage', 'raw') not in ('raw', 'clipped', 'smoothed'):
            problems.append(f"stage: 'raw', 'clipped' or 'smoothed', not {given['stage']!r}")
    configs: dict[str, Path] = {}
    for name in given['configs'] if not problems else ():
        beside = path.parent / name
        file = beside if beside.is_file() else Path(name)
        if file.stem in configs:
            problems.append(f'configs: two have the name {file.stem}: {configs[file.stem]} and {file}')
        configs[file.stem] = file
    if problems:
        raise ConfigError('\n'.join([f'{path} is no protocol:', *(f'  {p}' for p in problems)]))
    options = (*given.get('options', ()), *([f'epochs={given["epochs"]}'] if given.get('epochs') else ()))
    return Protocol(
        path,
        str(given['data_root']),
        configs,
        tuple(given['seeds']),
        tuple(given.get('folds') or ()),
        options,
        given.get('stage', 'raw'),
    )


@dataclass(frozen=True)
class ProtocolResult:
    """What a protocol has come to.

    Attributes:
        comparison: of the configs; None as long as a run is missing.
        rows: of the table, as in ``protocol.csv``.
        failures: runs that are not done.
    """

    comparison: ConfigComparison | None
    rows: list[Row]
    failures: list[Failure]


def compare_configs(
    protocol: Protocol, out: Path, tools: Path, launcher: Launcher, report: Report
) -> ProtocolResult:
    """Train and test every config with every seed (and fold), and compare them with the first.

    What is done already is not done again. The table is written as ``protocol.csv``, and a page with learning
    curves and differences of every video as ``protocol.html``, once all runs are done.

    Args:
        protocol: as ``read_protocol`` gives it.
        out: folder of the runs, a folder for each config in it.
        tools: folder of train.py and test.py.
        launcher: starts the runs.
        report: called with a line at every start and end.

    Raises:
        ConfigError: before any run is started: a config does not pass the check, or configs differ in data or
            features; or runs in ``out`` were started with other configs.
        Interrupted: Ctrl-C.
    """
    series = protocol.series(out, tools)
    _check(protocol, series)
    jobs = []
    for name, of in series.items():
        jobs += [replace(job, name=f'{name}/{job.name}') for job in of.plan(protocol.runs)[0]]
    failures = launch(jobs, launcher, report)
    if failures:
        return ProtocolResult(None, [], failures)
    size = max(1, len(protocol.folds))
    names = [run.name for run in protocol.runs]
    comparison = ConfigComparison(
        {
            name: [[Run(of.out / run) for run in names[i : i + size]] for i in range(0, len(names), size)]
            for name, of in series.items()
        },
        protocol.stage,
    )
    rows = rows_of(comparison)
    write_text(out / CSV, to_csv(rows))
    config_page(comparison, f'Protocol {protocol.path.stem}').write(out / PAGE)
    return ProtocolResult(comparison, rows, [])


def _check(protocol: Protocol, series: dict[str, Series]) -> None:
    """Check every config, and that all have the same data and features."""
    configs = {name: of.load(protocol.runs[0]) for name, of in series.items()}
    for cfg in configs.values():
        check_config(cfg, training=True)
    facts = {name: _data(cfg) for name, cfg in configs.items()}
    first, *others = facts
    problems = [
        f'{what}: {first} has {facts[first][what]}, {name} {facts[name][what]}'
        for name in others
        for what in facts[first]
        if facts[name][what] != facts[first][what]
    ]
    if problems:
        title = f'{protocol.path}: the configs cannot be compared, for they differ in'
        raise ConfigError('\n'.join([title, *(f'  {p}' for p in problems)]))


def _data(cfg: VAConfig) -> dict[str, Any]:
    """What configs must have in common, as text."""
    resolved = resolve(cfg)
    store = open_store(resolved.data_root)
    found: dict[str, Any] = {
        'features': ', '.join(sorted(resolved.features)),
        'targets': ', '.join(resolved.targets),
    }
    for key, partition in (('train_dataloader', 'train'), ('val_dataloader', 'val')):
        dataset = resolved[key].dataset
        videos = build_split(dataset.get('split'), store).videos(store.videos(), partition)
        names = [video.video_id for video in videos][: dataset.get('debug')]
        found[f'videos of {partition}'] = f'{len(names)} ({names[0]} to {names[-1]})' if names else 'none'
    return found


def rows_of(comparison: ConfigComparison) -> list[Row]:
    """The table: a row per config and target, and for the mean of the targets.

    Columns: ``ccc`` and ``std`` over the seeds, ``ccc_low`` and ``ccc_high``, the interval over videos; the
    ``difference`` to the first config with its interval, the p-value and what it says; ``parameters``, and
    ``seconds`` and ``frames_per_second`` of training, mean over the runs.
    """
    c = comparison
    scores = {(s.run, s.target): s for s in c.scores}
    rows = []
    for k, name in enumerate(c.names):
        for target in [*c.targets, *([MEAN] if len(c.targets) > 1 else [])]:
            interval = c.intervals[target][k] if target != MEAN else None
            score = scores.get((name, target))
            rows.append(
                {
                    'config': name,
                    'target': target,
                    'ccc': c.mean(k, target),
                    'std': c.spread(k, target),
                    'ccc_low': interval.low if interval else None,
                    'ccc_high': interval.high if interval else None,
                    'difference': score.difference.value if score else None,
                    'difference_low': score.difference.low if score else None,
                    'difference_high': score.difference.high if score else None,
                    'p_corrected': score.corrected if score else None,
                    'verdict': score.verdict if score else 'baseline',
                    **{key: c.summary(k, key) for key in ('parameters', 'seconds', 'frames_per_second')},
                }
            )
    return rows


def protocol_text(comparison: ConfigComparison, rows: Sequence[Row]) -> str:
    """The table as aligned text, and how to read it."""
    header = ['config', 'target', 'CCC', 'std', '95 % interval', 'difference', 'interval', 'p', '']
    lines = [
        [
            *(row['config'], row['target'], _number(row['ccc'], '.4f'), _number(row['std'], '.4f')),
            _range(row['ccc_low'], row['ccc_high'], '.4f'),
            _number(row['difference'], '+.4f'),
            _range(row['difference_low'], row['difference_high'], '+.4f'),
            _number(row['p_corrected'], '.4f'),
            row['verdict'],
        ]
        for row in rows
    ]
    seeds = len(comparison.by_seed[MEAN][0])
    return '\n'.join(
        [
            *aligned([header, *lines], left=(0, 1, len(header) - 1)),
            '',
            f'{comparison.stage} predictions of val; CCC: mean over {counted(seeds, "seed")}, std: over them '
            '(n - 1)',
            f'intervals and tests: over {comparison.unit_text}, for these seeds',
            f'difference to {comparison.names[0]}: {level_text(comparison.level)} interval, p corrected for '
            f'{counted(comparison.scores[0].comparisons, "comparison")}; not significant does not mean equal',
        ]
    )


def _number(value: float | None, form: str) -> str:
    return '' if value is None else format(value, form)


def _range(low: float | None, high: float | None, form: str) -> str:
    return '' if low is None or high is None else f'{low:{form}} .. {high:{form}}'
