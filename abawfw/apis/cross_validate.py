"""Cross-validation: a run per fold (and seed) of one config."""

from __future__ import annotations

from collections.abc import Sequence

from abawfw.apis.check import check_config
from abawfw.config.loading import VAConfig, referenced_names, resolve
from abawfw.datasets.clip_dataset import videos_of
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError, DataError
from abawfw.files import write_text
from abawfw.results.run import CROSS_VALIDATION
from abawfw.series.launchers.base import Launcher, Report
from abawfw.series.runs import PlannedRun, Series, SeriesResult, mean_and_std
from abawfw.text_files import csv_text


def cross_validate(
    series: Series, folds: Sequence[int], launcher: Launcher, report: Report, seeds: Sequence[int] = ()
) -> SeriesResult:
    """Train and test every fold with every seed; what is done already is not done again.

    Args:
        series: config and folder; the folders of the runs are fold0, or fold0_seed1 where seeds are given.
        folds: values of ``fold``.
        launcher: starts the runs.
        report: called with a line at every start and end.
        seeds: values of ``seed``; none for the config's own.

    Returns:
        A row per run that is done and, below them, their mean and standard deviation, as written to
        ``cross_validation.csv``; and the runs that failed.

    Raises:
        ConfigError, DataError: before any run is started.
        Interrupted: Ctrl-C.
    """
    runs = fold_runs(folds, seeds)
    _check(series, runs)
    found = series.launch(runs, launcher, report)
    if not found.rows:
        return found
    scores = [name for name in found.rows[0] if name.startswith('ccc')]
    rows = [*found.rows, *mean_and_std(found.rows, scores)]
    write_text(series.out / CROSS_VALIDATION, csv_text(rows))
    return SeriesResult(rows, found.failures)


def fold_runs(folds: Sequence[int], seeds: Sequence[int] = ()) -> list[PlannedRun]:
    """All runs of a cross-validation, seed by seed.

    Raises:
        ConfigError: no fold, or one named twice.
    """
    for name, values in (('folds', folds), ('seeds', seeds)):
        twice = sorted({str(v) for v in values if list(values).count(v) > 1})
        if twice:
            raise ConfigError(f'--{name}: {", ".join(twice)} named twice')
    if not folds:
        raise ConfigError('--folds: give at least one')
    if not seeds:
        return [PlannedRun(f'fold{k}', {'fold': k}, (f'fold={k}',)) for k in folds]
    return [
        PlannedRun(f'fold{k}_seed{s}', {'fold': k, 'seed': s}, (f'fold={k}',), s)
        for s in seeds
        for k in folds
    ]


def _check(series: Series, runs: Sequence[PlannedRun]) -> None:
    """Check the config, and that every fold has videos to validate on."""
    shared = series.load()
    if 'fold' not in shared or 'fold' not in referenced_names(shared):
        what = "has no value 'fold'" if 'fold' not in shared else "has a value 'fold', but nothing uses it"
        raise ConfigError(
            f'{series.config} {what}: the runs of all folds would be the same. Set fold = 0 and, in the '
            "datasets, split=dict(type='RolledKFold', fold='${fold}')"
        )
    configs = {planned.labels['fold']: series.load(planned) for planned in runs}
    check_config(configs[runs[0].labels['fold']], training=True)
    problems: dict[str, list[str]] = {}
    for fold, cfg in configs.items():
        try:
            _check_fold(cfg)
        except (ConfigError, DataError) as error:
            problems.setdefault(str(error), []).append(str(fold))
    if problems:
        raise ConfigError('\n'.join(f'fold {", ".join(folds)}: {text}' for text, folds in problems.items()))


def _check_fold(cfg: VAConfig) -> None:
    resolved = resolve(cfg)
    if not videos_of(resolved.val_dataloader.dataset, open_store(resolved.data_root), 'val'):
        raise DataError(f'{resolved.data_root}: no video to validate on')
