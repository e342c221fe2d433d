"""A model soup: the mean of the weights of several runs of one config, as a run of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch.nn.modules.batchnorm import _BatchNorm

import abawfw
from abawfw.apis.build import build_loader, fitted_of, restore_model
from abawfw.apis.check import check_config
from abawfw.apis.test import check_labels, test
from abawfw.apis.trained_run import TrainedRun, same_fitted
from abawfw.checkpoints import best_checkpoint, load_checkpoint, save_checkpoint
from abawfw.config.diff import config_diff
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import groups_of
from abawfw.devices import computing_on, computing_with
from abawfw.errors import CheckpointError, ConfigError
from abawfw.evaluation.functional import Moments, moments
from abawfw.files import Replacement, write_text
from abawfw.json_files import read_json
from abawfw.models.layers import MaskedBatchNorm
from abawfw.progress import Report, unseen
from abawfw.results.run import CONFIG, PREDICTIONS, SUMMARY, Run
from abawfw.submission.ensemble import expand
from abawfw.submission.formats import FORMATS, WRITTEN, SampleFile, Submission, check_format, check_output
from abawfw.submission.weights import folds_of

SUBMISSION = 'submission'  # folder of the submission in that of the soup
OURS = (
    *(CONFIG, SUMMARY, 'best_*.pth', f'{PREDICTIONS}/*', 'predict/*/*/*.txt'),
    *(f'{SUBMISSION}/{pattern}' for pattern in WRITTEN),
)
"""Files of the run that a mean of weights is, its tests included."""
SEED = ('seed: ', 'randomness.seed: ')  # what configs may differ in, as config_diff says it
Measure = Callable[[frozenset[int]], Sequence[Moments]]
"""Statistics of val, of each video or group of videos, of the mean of the weights of these runs."""


@dataclass(frozen=True)
class TargetSoup:
    """The soup of one target.

    Attributes:
        runs: of which the best checkpoint of the target was tried, the best one first.
        run_ccc: raw CCC of each alone, on val.
        taken: whether each is in the mean.
        ccc: raw CCC of the mean of weights, on the val that the runs were chosen on.
        cross_validated_ccc: CCC where no video, nor another of its group, took part in choosing the runs that
            predict it; None for one video or group.
        unit: what the cross-validation divides, as text.
    """

    runs: tuple[str, ...]
    run_ccc: tuple[float, ...]
    taken: tuple[bool, ...]
    ccc: float
    cross_validated_ccc: float | None
    unit: str


@dataclass(frozen=True)
class Soup:
    """What :func:`soup` gives.

    Attributes:
        targets: what was chosen for each.
        submission: files of its predictions of test; None where the store has no test videos.
    """

    targets: dict[str, TargetSoup]
    submission: Submission | None


def soup(
    runs: Sequence[Path | str],
    out: Path,
    smoothed: bool = False,
    form: str = 'per-target',
    sample: SampleFile | None = None,
    allow_repair: int | None = None,
    overwrite: bool = False,
    progress: Report = unseen,
) -> Soup:
    """Average the weights of runs, greedily for each target, and write the mean as a tested run.

    The greedy soup of Wortsman et al. (2022, arXiv:2203.05482): runs in the order of their CCC on val, each
    kept in the mean if with it the CCC does not fall. Each target has the mean of its own best checkpoints.

    Running statistics of batch normalisation are taken anew from the batches of training, since the mean of
    statistics is that of no network: what averaged weights compute varies less than what each of them does
    (Izmailov et al. 2018, arXiv:1803.05407; Jordan et al. 2023, arXiv:2211.08403). Those that all runs have
    in common, of frozen parts, stay, and so do those of a mean of one run alone.

    Args:
        runs: work_dirs, or folders of them; trained with one config and different seeds.
        out: folder to make: config, checkpoints, summary and predictions as of a run, ``submission`` in it.
        smoothed: submit smoothed predictions instead of clipped ones.
        form: of the submission, see ``FORMATS``.
        sample: that the format ``abaw`` needs.
        allow_repair: frames to repair per video at most, see ``FORMATS``.
        overwrite: replace an earlier soup.
        progress: called with every batch.

    Raises:
        ConfigError: fewer than two runs, one that is no work_dir, or configs that differ in more than the
            seed; or ``out`` is there and is no soup, or is not to be replaced.
        CheckpointError: a run has no best checkpoint, one of another shape, or weights that are not finite.
        DataError: what the data lack.
    """
    check_place(out, overwrite)
    found = expand(runs)
    cfg = _common_config(found)
    check_config(cfg)
    resolved = resolve(cfg)
    check_format(form, list(resolved.targets), sample, allow_repair)
    paths = {t: [best_checkpoint(run.path, f'ccc_{t}') for run in found] for t in resolved.targets}
    store = open_store(resolved.data_root)
    tested = {v.video_id: v.num_frames for v in store.videos() if v.partition == 'test'}
    if sample is not None and tested:
        sample.fit(tested, allow_repair)  # before the work
    with Replacement(out, folder=overwrite) as folder:
        folder.mkdir()
        shutil.copy(found[0].path / CONFIG, folder / CONFIG)
        targets, best = {}, {}
        for target, of in paths.items():
            mixer = _Mixer(resolved, store, target, of, folder, progress)
            targets[target], chosen = _choose(mixer, [str(run.path) for run in found])
            best[f'ccc_{target}'] = mixer.keep(chosen, targets[target].ccc)
        summary = {
            'status': 'done',
            'best': best,
            'seed': None,
            'config_sha256': hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
            'versions': {'abawfw': abawfw.__version__, 'torch': torch.__version__},
            'soup': {target: asdict(of) for target, of in targets.items()},
        }
        write_text(folder / SUMMARY, json.dumps(summary, indent=1) + '\n')
        checkpoints = {target: folder / best[f'ccc_{target}']['file'] for target in targets}
        test(cfg, checkpoints, folder / PREDICTIONS, progress=progress)
        submission = None
        if tested:
            stage = 'smoothed' if smoothed else 'clipped'
            preds = {target: Run(folder).read('test', target, stage).preds for target in targets}
            submission = FORMATS[form](preds, sample, allow_repair)
            for name, text in submission.files.items():
                write_text(folder / SUBMISSION / name, text)
    return Soup(targets, submission)


def check_place(out: Path, overwrite: bool) -> list[str]:
    """Refuse a path that exists, unless an earlier soup is to be replaced.

    Returns:
        What had to be put right after a call that was killed, a line each.

    Raises:
        ConfigError: it is there.
    """
    notes = check_output(out, overwrite, OURS, 'mean of weights alone')
    if not out.exists():
        return notes
    path = out / SUMMARY
    summary = read_json(path) if path.is_file() else None
    if not isinstance(summary, dict) or 'soup' not in summary:
        raise ConfigError(
            f'{out} is not a mean of weights, as its {SUMMARY} would say, and is not overwritten'
        )
    return notes


def _common_config(runs: Sequence[Run]) -> Config:
    """The config of the runs, that of the first, as it was written.

    Raises:
        ConfigError: there is one run; one is no work_dir; or the configs differ in more than the seed.
    """
    if len(runs) < 2:
        raise ConfigError(f'{runs[0].path} alone: a mean of weights needs two runs of one config, or more')
    for run in runs:
        if not (run.path / CONFIG).is_file():
            raise ConfigError(
                f'{run.path}: is no work_dir of a run, it has no {CONFIG}; predictions without weights are '
                'averaged without --weights-average'
            )
    first, *others = runs
    problems = []
    for run in others:
        lines = [x for x in config_diff(first.config, run.config) if not x.startswith(SEED)]
        problems += [f'{run.path}, {line}' for line in lines]
    if problems:
        raise ConfigError(
            f'only weights of runs whose configs differ in nothing but the seed are averaged; {first.path} '
            '-> others:\n  ' + '\n  '.join(problems)
        )
    return load_config(first.path / CONFIG)


def _differing_statistics(paths: Sequence[Path], stored: Sequence[dict[str, Any]]) -> list[str]:
    """The layers whose running statistics are not those of all of these checkpoints, given their content.

    Raises:
        CheckpointError: the checkpoints are of other shapes, inputs or statistics of the training videos.
    """
    first, ours = paths[0], stored[0]
    shapes = {name: (tuple(x.shape), x.dtype) for name, x in ours['state_dict'].items()}
    differing: dict[str, None] = {}
    for path, theirs in zip(paths[1:], stored[1:], strict=True):
        their_shapes = {name: (tuple(x.shape), x.dtype) for name, x in theirs['state_dict'].items()}
        wrong = [k for k in {**shapes, **their_shapes} if shapes.get(k) != their_shapes.get(k)]
        if wrong:
            listed = ', '.join(f'{k}: {_shape(shapes, k)} and {_shape(their_shapes, k)}' for k in wrong[:8])
            raise CheckpointError(
                f'{first} and {path} are of other shapes, though their configs are the same: {listed}'
                f'{" ..." if len(wrong) > 8 else ""}; average runs that were trained with the same features'
            )
        if not same_fitted(fitted_of(ours['meta']), fitted_of(theirs['meta'])):
            raise CheckpointError(
                f'{first} and {path} were trained with other statistics of the training videos: average runs '
                'of the same data'
            )
        for name, x in theirs['state_dict'].items():
            if name.endswith('.running_mean') and not torch.equal(x, ours['state_dict'][name]):
                differing[name.removesuffix('.running_mean')] = None
    return list(differing)


def _shape(shapes: dict[str, Any], name: str) -> str:
    return f'{shapes[name][0]}' if name in shapes else 'absent'


class _Mixer:
    """Means of the weights of one target's checkpoints, each of which is measured once.

    Args:
        cfg: resolved config of the runs.
        store: its data.
        target: that is measured.
        paths: best checkpoint of each run.
        folder: where checkpoints are written.
        progress: called with every batch.

    Attributes:
        paths: as given.
        unit: what is measured, as text: how many videos, or groups of them.

    Raises:
        CheckpointError: the checkpoints cannot be read, or averaged.
    """

    def __init__(
        self,
        cfg: Config,
        store: FeatureStore,
        target: str,
        paths: Sequence[Path],
        folder: Path,
        progress: Report,
    ) -> None:
        self.paths, self.unit = list(paths), ''
        self._cfg, self._store, self._target, self._folder = cfg, store, target, folder
        self._progress = progress
        self._stored = [load_checkpoint(path) for path in paths]
        self._differing = _differing_statistics(paths, self._stored)
        self._known: dict[frozenset[int], list[Moments]] = {}

    def measure(self, chosen: frozenset[int]) -> list[Moments]:
        """Statistics of labels and raw predictions on val, of each video, or group of videos."""
        if chosen not in self._known:
            path = self.paths[min(chosen)]
            if len(chosen) > 1:
                path = self._folder / 'candidate.pth'
                self._mix(chosen, path)
            found = TrainedRun(self._cfg, {self._target: path}).predict('val', progress=self._progress)
            preds, labels = found[self._target]
            check_labels(self._cfg.data_root, {self._target: labels})
            of = {video: moments(labels[video], pred) for video, pred in preds.items()}
            groups = groups_of([self._store.video(video) for video in of])
            self.unit = groups.text(of)
            self._known[chosen] = [Moments.pool(of[v] for v in unit) for unit in groups.units(of)]
        return self._known[chosen]

    def keep(self, chosen: frozenset[int], score: float) -> dict[str, Any]:
        """Write a mean as the best checkpoint of the target, and say so as a summary does."""
        candidate = self._folder / 'candidate.pth'
        self._mix(chosen, candidate)
        stored, key = load_checkpoint(candidate), f'ccc_{self._target}'
        epoch = max(int(self._stored[run]['meta'].get('epoch', 0)) for run in chosen)
        source = ', '.join(str(self.paths[run]) for run in sorted(chosen))
        stored['meta'] |= {'key': key, 'epoch': epoch, 'score': score, 'source': f'mean of {source}'}
        file = f'best_{key}_epoch_{epoch}.pth'
        save_checkpoint(stored, self._folder / file)
        candidate.unlink()
        return {'score': score, 'epoch': epoch, 'file': file}

    def _mix(self, chosen: frozenset[int], path: Path) -> None:
        """Write the mean of the weights, added up in float64; numbers that are no weights are the first's."""
        first, *others = sorted(chosen)
        meta, state = self._stored[first]['meta'], self._stored[first]['state_dict']
        sums = {name: x.double() for name, x in state.items() if x.is_floating_point()}
        for run in others:
            more = self._stored[run]['state_dict']
            sums = {name: total + more[name].double() for name, total in sums.items()}
        means = {name: (total / len(chosen)).to(state[name].dtype) for name, total in sums.items()}
        content = {'meta': meta, 'state_dict': {**state, **means}}
        save_checkpoint(content, path)
        if others and self._differing:
            self._renew(content, path)

    def _renew(self, content: dict[str, Any], path: Path) -> None:
        """Put the mean of the statistics of all batches of training in place of running statistics."""
        cfg = self._cfg
        loader = build_loader(cfg, 'train_dataloader', 'train', fitted_of(content['meta']))
        model = restore_model(cfg, path, content, loader.dataset.input_dims)
        for name in self._differing:
            norm = model.get_submodule(name)
            if isinstance(norm, (_BatchNorm, MaskedBatchNorm)):
                norm.reset_running_stats()
                norm.momentum = None
                norm.train()
        loader.batch_sampler.set_epoch(0)
        with computing_on() as place, computing_with(None, cfg.get('threads'), model), torch.no_grad():
            model.to(place)
            for done, batch in enumerate(loader):
                self._progress('statistics of batches of training', done, len(loader))
                model.val_step(batch)
        weights = {name: x.cpu() for name, x in model.state_dict().items()}
        save_checkpoint({**content, 'state_dict': weights}, path)


def _choose(mixer: _Mixer, names: Sequence[str]) -> tuple[TargetSoup, frozenset[int]]:
    """The runs of a target's mean, and what that is worth where others choose them."""
    count = len(mixer.paths)
    units = mixer.measure(frozenset([0]))
    every = range(len(units))
    chosen = greedy_soup(mixer.measure, count, every)
    parts = []
    for kept, held_out in folds_of(units):
        found = mixer.measure(greedy_soup(mixer.measure, count, kept))
        parts += [found[i] for i in held_out]
    alone = [Moments.pool(mixer.measure(frozenset([run]))).ccc for run in range(count)]
    order = sorted(range(count), key=lambda run: -alone[run])
    return TargetSoup(
        runs=tuple(names[run] for run in order),
        run_ccc=tuple(alone[run] for run in order),
        taken=tuple(run in chosen for run in order),
        ccc=Moments.pool(mixer.measure(chosen)).ccc,
        cross_validated_ccc=Moments.pool(parts).ccc if parts else None,
        unit=mixer.unit,
    ), chosen


def greedy_soup(measure: Measure, runs: int, kept: Sequence[int]) -> frozenset[int]:
    """Runs in the order of their CCC, of equal ones the first first; each stays if the CCC does not fall.

    Args:
        measure: statistics of a mean of weights, by unit.
        runs: how many there are.
        kept: units to decide on.
    """

    def ccc(chosen: frozenset[int]) -> float:
        found = measure(chosen)
        return Moments.pool(found[i] for i in kept).ccc

    first, *others = sorted(range(runs), key=lambda run: -ccc(frozenset([run])))
    chosen = frozenset([first])
    best = ccc(chosen)
    for run in others:
        found = ccc(chosen | {run})
        if found >= best:
            chosen, best = chosen | {run}, found
    return chosen
