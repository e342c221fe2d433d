"""Several configs under one protocol: the same data, seeds and budget; one table, one page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abawfw.apis.check import check_config
from abawfw.apis.cross_validate import fold_runs
from abawfw.config.loading import VAConfig, load_config, resolve
from abawfw.datasets.clip_dataset import videos_of
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import plain_name
from abawfw.datasets.stores.records import groups_of
from abawfw.errors import ConfigError, DataError, counted, nearest
from abawfw.files import write_text
from abawfw.results.compared_score import MEAN, level_text, too_few_units
from abawfw.results.config_comparison import THESE_RUNS, ConfigComparison
from abawfw.results.report_table import aligned, interval_text, number_text
from abawfw.results.run import PREDICTIONS, Run
from abawfw.series.launchers.base import Failure, Launcher, Report
from abawfw.series.runs import PlannedRun, Row, Series, launch
from abawfw.series.sweep_space import AT_TEST
from abawfw.text_files import csv_text
from abawfw.visualization.config_page import config_page
from abawfw.visualization.page import plotly_source

CSV, PAGE = 'protocol.csv', 'protocol.html'
KEYS = ('data_root', 'configs', 'seeds', 'folds', 'epochs', 'seconds', 'options', 'stage')
ENTRY_KEYS = ('config', 'name', 'options')


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        config: file of the config.
        words: overrides of its runs, as after ``--cfg-options``.
        tested: overrides of their tests alone.
    """

    config: Path
    words: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """What a protocol file says.

    Attributes:
        path: the file.
        data_root: folder of the store that all configs take.
        configs: what is compared, by name; the options and the budget of the protocol are among the words.
        seeds: of the runs of each.
        folds: of the data, each with every seed; none for the split of the configs.
        stage: of the predictions that are compared.
    """

    path: Path
    data_root: str
    configs: dict[str, Entry]
    seeds: tuple[int, ...]
    folds: tuple[int, ...] = ()
    stage: str = 'raw'

    @property
    def runs(self) -> list[PlannedRun]:
        """The runs of each config, seed by seed."""
        if self.folds:
            return fold_runs(self.folds, self.seeds)
        return [PlannedRun(f'seed{seed}', {'seed': seed}, (), seed) for seed in self.seeds]

    def series(self, out: Path, tools: Path) -> dict[str, tuple[Series, str]]:
        """The runs of each config, by name, and the folder in each of them that holds its predictions.

        Configs that differ in their tests alone have the same runs, in the folder of the one that is tested
        as it stands there, or else of the first.
        """
        together: dict[tuple[Path, tuple[str, ...]], dict[str, Entry]] = {}
        for name, entry in self.configs.items():
            together.setdefault((entry.config.resolve(), entry.words), {})[name] = entry
        found: dict[str, tuple[Series, str]] = {}
        for alike in together.values():
            folders = {n: f'{PREDICTIONS}_{n}' if entry.tested else PREDICTIONS for n, entry in alike.items()}
            owner = min(alike, key=lambda name: bool(alike[name].tested))
            entry, tests = alike[owner], {folders[name]: of.tested for name, of in alike.items()}
            series = Series(entry.config, out / owner, tools, self.data_root, entry.words, tests)
            found |= {name: (series, folder) for name, folder in folders.items()}
        return {name: found[name] for name in self.configs}


def read_protocol(path: Path) -> Protocol:
    """Read a protocol: a config with ``data_root``, ``configs`` and ``seeds``.

    It may have ``folds``, ``epochs`` and ``seconds`` (the budget of every run), ``options`` and ``stage``.
    Configs are named by their path from the protocol's folder, or as shipped ones are
    (``rucaim3/transformer_demo.py``). In place of a path may stand one with options of its own,
    ``dict(config=PATH, name=..., options=[...])``. Options that only tests look at, such as ``overlap=2``,
    are no reason to train again.

    Raises:
        ConfigError: the file cannot be read, or what it says is no protocol; all at once.
    """
    given = load_config(path).to_dict()
    problems = [f"unknown key '{key}': {nearest(key, KEYS)}" for key in given if key not in KEYS]
    problems += [f"'{key}' is missing" for key in KEYS[:3] if key not in given]
    for key, kind in (('seeds', int), ('folds', int), ('options', str)):
        problems += _list_problems(key, given.get(key) or [], kind)
    entries = given.get('configs') or []
    if not isinstance(entries, (list, tuple)):
        problems.append(f'configs: a list of paths, not {entries!r}')
        entries = []
    problems += [line for entry in entries for line in _entry_problems(entry)]
    if not problems:
        problems += _decided(given, [given, *(entry for entry in entries if isinstance(entry, dict))])
        problems += [f'{key}: at least one' for key in ('seeds',) if not given[key]]
        problems += ['configs: at least two'] if len(entries) < 2 else []
        epochs, seconds = given.get('epochs'), given.get('seconds')
        if epochs is not None and (type(epochs) is not int or epochs < 1):
            problems.append(f'epochs: a whole number of 1 or more, not {epochs!r}')
        if seconds is not None and (type(seconds) not in (int, float) or not 0 < seconds < math.inf):
            problems.append(f'seconds: a number above 0, not {seconds!r}')
        if given.get('stage', 'raw') not in ('raw', 'clipped', 'smoothed'):
            problems.append(f"stage: 'raw', 'clipped' or 'smoothed', not {given['stage']!r}")
    configs: dict[str, Entry] = {}
    for entry in entries if not problems else ():
        one = {'config': entry} if isinstance(entry, str) else entry
        beside = path.parent / one['config']
        file = beside if beside.is_file() else Path(one['config'])
        name, made = one.get('name', file.stem), _entry(file, given, one.get('options', ()))
        if name.casefold() in (CSV, PAGE):
            problems.append(f'configs: {name} is the name of a file of the protocol; choose another name')
        elif other := next((n for n in configs if n.casefold() == name.casefold()), None):
            alike = (
                f'the name {name}'
                if other == name
                else f'names that differ in case alone, {other} and {name}'
            )
            problems.append(
                f'configs: two have {alike}: {configs[other].config} and {file}; give one of them another: '
                'dict(config=..., name=...)'
            )
        elif made in configs.values():
            other = next(n for n, entry in configs.items() if entry == made)
            problems.append(f'configs: {name} is the same as {other}')
        configs[name] = made
    if problems:
        raise ConfigError('\n'.join([f'{path} is no protocol:', *(f'  {p}' for p in problems)]))
    seeds, folds = tuple(given['seeds']), tuple(given.get('folds') or ())
    return Protocol(path, str(given['data_root']), configs, seeds, folds, given.get('stage', 'raw'))


def _decided(protocol: dict[str, Any], givers: Sequence[dict[str, Any]]) -> list[str]:
    """Options of what is the same for all runs, or of what the protocol sets itself."""
    own = {'seed': 'seeds', 'randomness.seed': 'seeds', 'data_root': 'data_root', 'epochs': 'epochs'}
    problems, stage = [], protocol.get('stage', 'raw')
    for giver in givers:
        for option in giver.get('options') or ():
            key = str(option).partition('=')[0]
            if key in own and (key != 'epochs' or protocol.get('epochs')):
                of = f'{giver["config"]}: ' if 'config' in giver else ''
                problems.append(
                    f'configs: {of}option {option}: {own[key]} of the protocol says so for all runs'
                )
            elif key.partition('.')[0] in ('postprocess', 'windows') and stage != 'smoothed':
                problems.append(
                    f"option {option} changes nothing of {stage} predictions: set stage = 'smoothed'"
                )
    return problems


def _list_problems(key: str, values: Any, kind: type) -> list[str]:
    if not isinstance(values, (list, tuple)) or any(type(v) is not kind for v in values):
        return [f'{key}: a list of {"whole numbers" if kind is int else "texts"}, not {values!r}']
    return [f'{key}: a value stands there twice: {list(values)}'] if len(set(values)) < len(values) else []


def _entry_problems(entry: Any) -> list[str]:
    """What is wrong with one of the configs."""
    if isinstance(entry, str):
        return []
    if not isinstance(entry, dict) or not isinstance(entry.get('config'), str):
        return [f'configs: paths, or dict(config=PATH, name=..., options=[...]), not {entry!r}']
    problems = [
        f"configs: {entry['config']}: unknown key '{k}': {nearest(k, ENTRY_KEYS)}"
        for k in entry
        if k not in ENTRY_KEYS
    ]
    try:
        plain_name(entry.get('name', 'any'), f'configs: {entry["config"]}: name')
    except DataError as error:
        problems.append(str(error))
    return problems + _list_problems(f'configs: {entry["config"]}: options', entry.get('options', []), str)


def _entry(config: Path, protocol: dict[str, Any], options: Sequence[str]) -> Entry:
    """A config with the options of the protocol and, over them, its own."""
    words = list(protocol.get('options', ()))
    if protocol.get('epochs'):
        words.append(f'epochs={protocol["epochs"]}')
    if protocol.get('seconds'):
        words.append(f'default_hooks.time_budget=dict(type=TimeBudgetHook,seconds={protocol["seconds"]})')
    words += options
    tested = tuple(word for word in words if word.partition('=')[0].partition('.')[0] in AT_TEST)
    return Entry(config, tuple(word for word in words if word not in tested), tested)


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
    if doubt := _check(protocol, series):
        report(doubt)
    plans = [
        [replace(job, name=f'{of.out.name}/{job.name}') for job in of.plan(protocol.runs)[0]]
        for of in {of.out: of for of, _ in series.values()}.values()
    ]
    # a seed of every config before the next seed: what is stopped early has something of each
    failures = launch([job for jobs in zip(*plans, strict=True) for job in jobs], launcher, report)
    if failures:
        return ProtocolResult(None, [], failures)
    size = max(1, len(protocol.folds))
    names = [run.name for run in protocol.runs]
    comparison = ConfigComparison(
        {
            name: [
                [Run(of.out / run, folder) for run in names[i : i + size]] for i in range(0, len(names), size)
            ]
            for name, (of, folder) in series.items()
        },
        protocol.stage,
    )
    rows = rows_of(comparison)
    write_text(out / CSV, csv_text(rows))
    config_page(comparison, f'Protocol {protocol.path.stem}').write(out / PAGE)
    return ProtocolResult(comparison, rows, [])


def _check(protocol: Protocol, series: dict[str, tuple[Series, str]]) -> str | None:
    """Check every config, and that all have the same data; gives why nothing can be significant, if so."""
    plotly_source()  # its page is drawn after all runs
    first = protocol.runs[0]
    configs = {
        name: of.load(replace(first, words=(*first.words, *of.tests[folder])))
        for name, (of, folder) in series.items()
    }
    for name, cfg in configs.items():
        try:
            check_config(cfg, training=True)
        except ConfigError as error:
            raise ConfigError(f'{protocol.path}, {name}: {error}') from None
    store = open_store(protocol.data_root)
    facts = {name: _data(cfg, store) for name, cfg in configs.items()}
    baseline, *others = facts
    problems = [
        f'{what}: {baseline} has {facts[baseline][what]}, {name} {facts[name][what]}'
        for name in others
        for what in facts[baseline]
        if facts[name][what] != facts[baseline][what]
    ]
    if problems:
        title = f'{protocol.path}: the configs cannot be compared, for they differ in'
        raise ConfigError('\n'.join([title, *(f'  {p}' for p in problems)]))
    val = [
        video
        for run in protocol.runs[: max(1, len(protocol.folds))]
        for video in videos_of(resolve(series[baseline][0].load(run)).val_dataloader.dataset, store, 'val')
        if video.has_labels
    ]
    groups, ids = groups_of(val), [video.video_id for video in val]
    comparisons = len(others) * len(configs[baseline].targets)
    return too_few_units(len(groups.units(ids)), groups.unit(ids), comparisons)


def _data(cfg: VAConfig, store: FeatureStore) -> dict[str, Any]:
    """What configs must have in common, as text."""
    resolved = resolve(cfg)
    found = {'features': ', '.join(sorted(resolved.features)), 'targets': ', '.join(resolved.targets)}
    for key, partition in (('train_dataloader', 'train'), ('val_dataloader', 'val')):
        names = [video.video_id for video in videos_of(resolved[key].dataset, store, partition)]
        found[f'videos of {partition}'] = f'{len(names)} ({names[0]} to {names[-1]})' if names else 'none'
    return found


COSTS = {'parameters': ',.0f', 'seconds': ',.1f', 'frames_per_second': ',.0f'}
"""Columns of what a config costs, and how they are printed."""


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
                    **{key: c.summary(k, key) for key in COSTS},
                }
            )
    return rows


def protocol_text(comparison: ConfigComparison, rows: Sequence[Row]) -> str:
    """The table as aligned text, and how to read it."""
    header = ['config', 'target', 'CCC', 'std', '95 % interval', 'difference', 'interval', 'p', 'these runs']
    header += ['parameters', 'seconds', 'frames/s']
    lines = [
        [
            *(row['config'], row['target'], number_text(row['ccc']), number_text(row['std'], absent='')),
            interval_text(row['ccc_low'], row['ccc_high'], absent=''),
            number_text(row['difference'], '+.4f', ''),
            interval_text(row['difference_low'], row['difference_high'], '+.4f', ''),
            number_text(row['p_corrected'], absent=''),
            row['verdict'],
            *(number_text(row[key], form, '') for key, form in COSTS.items()),
        ]
        for row in rows
    ]
    seeds = len(comparison.by_seed[MEAN][0])
    return '\n'.join(
        [
            *aligned([header, *lines], left=(0, 1, header.index('these runs'))),
            '',
            f'{comparison.stage} predictions of val; CCC: mean over {counted(seeds, "seed")}, std: over them '
            '(n - 1)',
            f'intervals and tests: over {comparison.unit_text}, {THESE_RUNS}',
            f'difference to {comparison.names[0]}: {level_text(comparison.level)} interval, p corrected for '
            f'{counted(comparison.scores[0].comparisons, "comparison")}; not significant does not mean equal',
            'seconds: training with its validations; frames/s: training in the last epoch; means over runs',
            *(f'note: {note}' for note in comparison.notes),
        ]
    )
