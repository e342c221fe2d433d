"""Testing a run: predictions of each target's best checkpoint, files, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from abawfw.apis.build import clips_of, compile_mode
from abawfw.apis.check import check_config
from abawfw.apis.face_frames import face_frames
from abawfw.apis.postprocessing import as_validated, configured
from abawfw.apis.trained_run import Curves, TrainedRun
from abawfw.config.loading import resolve
from abawfw.conventions import TARGETS
from abawfw.datasets.splits.build import build_split
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import groups_of
from abawfw.devices import AUTO, find_device
from abawfw.errors import DataError
from abawfw.evaluation.functional import ALPHA, MeanCourse, Moments, frame_intervals
from abawfw.evaluation.postprocess import Pipeline, candidates, tune
from abawfw.files import check_writable, remove_left_over
from abawfw.groups import Groups
from abawfw.prediction_files import PARTITIONS
from abawfw.progress import Report, unseen
from abawfw.results.interval_file import KeptIntervals, remove_intervals, write_intervals
from abawfw.results.predictions import write_predictions, writing
from abawfw.results.report_file import REPORT, check_report, digest, record, update_report, write_pipeline
from abawfw.results.report_table import cross_validated_rows, report_rows
from abawfw.results.run import PREDICTIONS
from abawfw.results.side_files import write_faces, write_times, write_val_groups
from abawfw.results.trial_files import write_trial_files

LEARNED = 'train: the run has learned from these labels, so its scores there say nothing of other videos'


@dataclass
class TestReport:
    """What a test run gives.

    Attributes:
        rows: per partition with labels, the rows of ``report_rows``, for all targets.
        postprocess: what made the smoothed predictions of each target.
        intervals: of each target on val, as text; empty where they were not asked for.
        files: the files written.
        notes: what the reader should know, such as a partition that the store does not have.
    """

    __test__ = False  # its name is no invitation to pytest

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    postprocess: dict[str, Pipeline] = field(default_factory=dict)
    intervals: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def test(
    cfg: Config,
    checkpoints: Mapping[str, Path],
    out: Path,
    partitions: Sequence[str] | None = None,  # noqa: PT028
    search: Sequence[str] | None = None,  # noqa: PT028
    progress: Report = unseen,  # noqa: PT028
    device: str = AUTO,  # noqa: PT028
    threads: int | None = None,  # noqa: PT028
    intervals: bool = False,  # noqa: PT028
) -> TestReport:
    """Predict with a checkpoint per target, post-process, write the prediction files and measure.

    Args:
        cfg: loaded config, references not resolved.
        checkpoints: checkpoint of each target to test.
        out: folder for the files (names: docs/rucaim3.md, Inference) and ``report.json``. Where the config
            says ``trial_files = True``, text files per trial come beside it if it is called ``predictions``,
            and into it otherwise.
        partitions: which partitions; None for val and test, as far as the store has them.
        search: components among which the post-processing that suits the labels of val best is searched for,
            in place of the config's; see ``candidates``. What is found serves every partition, also those
            that are tested later, and ``as_tested`` reads it.
        progress: called with every batch.
        device: what computes, as ``find_device`` takes it.
        threads: of the CPU; None for what ``computing_with`` finds right.
        intervals: also find on the labels of val how far a post-processed prediction of a new video may be
            off, see ``frame_intervals``; in which fraction of the frames it may be further off is
            ``intervals.alpha`` of the config. Without it, what an earlier test of val found is removed.

    Raises:
        ConfigError, DataError, CheckpointError: see their messages.
        Interrupted: Ctrl-C while files are written.

    >>> from abawfw.checkpoints import best_checkpoint
    >>> from abawfw.config import load_config
    >>> run = Path('work_dirs/run')
    >>> best = {target: best_checkpoint(run, f'ccc_{target}') for target in ('valence', 'arousal')}
    >>> report = test(load_config(run / 'config.py'), best, run / 'predictions')
    >>> list(report.rows)
    ['val']
    """
    device = find_device(device)
    check_config(cfg)
    text, cfg = cfg.pretty_text, resolve(cfg)
    store = open_store(cfg.data_root)
    partitions, notes = choose_partitions(store, partitions)
    report = TestReport(notes=notes)
    if intervals and 'val' not in partitions:
        notes.append('val was tested, too: intervals are found on its labels')
        partitions = ['val', *partitions]
    given = configured(cfg, list(checkpoints))
    report.postprocess = dict(given)
    if 'val' not in partitions and search is None:
        report.postprocess, misfits = as_validated(cfg, checkpoints, out)
        report.notes += misfits
    if search is None:
        tried = {t: [pipeline] for t, pipeline in report.postprocess.items() if not pipeline.fitted}
    else:
        tried = dict.fromkeys(checkpoints, candidates(search))
    if tried and 'val' not in partitions:
        report.notes.append('val was tested, too: post-processing is tuned on it, and its files must fit')
        partitions = ['val', *partitions]
    check_partitions(store, partitions)
    check_writable(out / REPORT, REPORT, '--out')
    remove_left_over(out)
    check_report(out)
    trained = TrainedRun(cfg, checkpoints, device, threads)
    made_with = {t: record(out, path, cfg.filename, text) for t, path in checkpoints.items()}
    mode = compile_mode(cfg)
    predictions = {p: trained.predict(p, progress=progress, mode=mode) for p in partitions}
    report.notes += trained.notes
    if 'train' in partitions:
        report.notes.append(LEARNED)
    check_labels(cfg.data_root, {t: labels for t, (_, labels) in predictions.get('val', {}).items()})
    times = {v: store.times(v) for pred, _ in predictions.get('val', {}).values() for v in pred}
    faces = {p: _faces(store, predicted, cfg.features) for p, predicted in predictions.items()}
    groups = {p: groups_of([store.video(v) for v in of]) for p, of in faces.items()}
    tuned = {
        t: tune(pipelines, *predictions['val'][t], faces['val'], groups['val'])
        for t, pipelines in tried.items()
    }
    report.postprocess |= {t: of.pipeline for t, of in tuned.items()}
    found: dict[str, KeptIntervals] = {}
    for target, checkpoint in checkpoints.items() if intervals else ():
        pipeline, alpha = report.postprocess[target], cfg.get('intervals', {}).get('alpha', ALPHA)
        of_val = (*predictions['val'][target], faces['val'], groups['val'])
        found[target] = find_intervals(checkpoint, pipeline, *of_val, alpha, clips_of(cfg))
    bounds = lower_bounds(cfg, store, {t: labels for t, (_, labels) in predictions.get('val', {}).items()})
    parts = [(PARTITIONS[partition], target) for partition in partitions for target in checkpoints]
    with writing(out, parts):
        for partition in partitions:
            for target, (pred, label) in predictions[partition].items():
                labels = label if any(np.isfinite(x).any() for x in label.values()) else None
                how = report.postprocess[target], faces[partition]
                report.files += write_predictions(out, PARTITIONS[partition], target, pred, labels, *how)
                if cfg.get('trial_files', False) and partition != 'train':
                    run = out.parent if out.name == PREDICTIONS else out
                    report.files += write_trial_files(run, partition, target, pred)
                if labels is not None:
                    rows = report_rows(target, pred, labels, *how, groups[partition])
                    if partition == 'val' and target in tuned:
                        rows = cross_validated_rows(rows, tuned[target], labels, groups[partition])
                    report.rows.setdefault(partition, []).extend(rows)
        if 'val' in partitions:
            report.files += write_faces(
                out, {v: found for v, found in faces['val'].items() if found is not None}
            )
            report.files += write_val_groups(out, groups['val'])
            report.files += write_times(out, times)
            # what val was tested with stays, whatever other partitions are tested with
            for target, checkpoint in checkpoints.items():
                pipeline = report.postprocess[target]
                report.files.append(write_pipeline(out, target, checkpoint, pipeline, given[target]))
                if target in found:
                    report.files.append(write_intervals(out, target, found[target]))
                else:
                    report.notes += remove_intervals(out, target)
        report.intervals = {target: str(kept) for target, kept in found.items()}
        texts = {target: pipeline.texts() for target, pipeline in report.postprocess.items()}
        made = dict.fromkeys(partitions, made_with)
        tested = dict.fromkeys(partitions, texts)
        report.files.append(update_report(out, tested, report.rows, made, bounds))
    return report


def find_intervals(
    checkpoint: Path,
    pipeline: Pipeline,
    preds: Curves,
    labels: Curves,
    faces: Mapping[str, np.ndarray | None],
    groups: Groups,
    alpha: float,
    clips: dict[str, Any],
) -> KeptIntervals:
    """How far post-processed predictions may be from labels; see ``frame_intervals``.

    Args:
        checkpoint: that predicted them.
        pipeline: the post-processing.
        preds: raw predictions of one target, (frames,) by video.
        labels: of it, NaN where there is none.
        faces: where a face was found, None where that is unknown.
        groups: of the videos, as far as they are known.
        alpha: fraction of the frames of a new video that may lie outside.
        clips: as ``clips_of`` gives them.
    """
    done = pipeline.videos(preds, faces)
    labelled = [video for video in done if np.isfinite(labels[video]).any()]
    units = [[(done[video], labels[video]) for video in unit] for unit in groups.units(labelled)]
    found = frame_intervals(units, alpha, groups.unit(labelled))
    made_with = pipeline.settings(), checkpoint.name, digest(checkpoint), clips
    return KeptIntervals(found, groups.text(labelled), *made_with)


def _faces(
    store: FeatureStore, predicted: Mapping[str, tuple[Curves, Curves]], features: Sequence[str]
) -> dict[str, np.ndarray | None]:
    """Where a face was found, by video, None where that is unknown."""
    videos = next(iter(predicted.values()))[0]
    return {video: face_frames(store, video, features) for video in videos}


def choose_partitions(store: FeatureStore, given: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Each partition once; without a choice, val and test as far as they are there.

    Returns:
        The partitions, and notes on what is not there.

    Raises:
        DataError: there is none of them.
    """
    if given is not None:
        return list(dict.fromkeys(given)), []
    present = {v.partition for v in store.videos()}
    found: list[str] = [p for p in ('val', 'test') if p in present]
    if not found:
        others = f'only {", ".join(sorted(present))}' if present else 'nor any other'
        raise DataError(f'{store.root}: has neither val nor test videos, {others}')
    if 'test' in present:
        return found, []
    return found, [f'{store.root} has no test partition: nothing was predicted for it']


def check_partitions(store: FeatureStore, needed: Sequence[str]) -> None:
    """Refuse what the store does not have.

    Raises:
        DataError: it lacks a partition.
    """
    present = {v.partition for v in store.videos()}
    unknown = sorted(set(needed) - present)
    if unknown:
        raise DataError(
            f'{store.root}: no partition {", ".join(unknown)}; it has {", ".join(sorted(present))}'
        )


def check_labels(root: str, labels: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse val without anything to measure.

    Args:
        root: of the store, for messages.
        labels: by target and video, (frames,), NaN where there is none.

    Raises:
        DataError: a target has no label.
    """
    without = [t for t, of in labels.items() if not any(np.isfinite(x).any() for x in of.values())]
    if without:
        raise DataError(
            f'{root}: no frame of val has a label of {" and ".join(without)}; test what has labels with '
            '--target, or the videos without labels with --partition test'
        )


def lower_bounds(
    cfg: Config, store: FeatureStore, labels: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """CCC on val of predictions made of the labels of the training videos of the run's fold.

    Args:
        cfg: resolved config of the run.
        store: its data.
        labels: of val by target and video, (frames,), NaN where there is none.

    Returns:
        By target: ``constant``, the mean of all training labels, whose CCC is 0 as that of any constant, and
        ``course``, their mean as a function of time, see ``MeanCourse``. Targets without a labelled frame in
        either partition are omitted.

    Raises:
        DataError: a training label cannot be read.
    """
    if not labels or not any(video.partition == 'train' for video in store.videos()):
        return {}
    split = build_split(cfg.val_dataloader.dataset.get('split'), store)
    courses = {target: MeanCourse() for target in labels}
    for video in split.videos(store.videos(), 'train'):
        values = store.labels(video.video_id, 0, video.num_frames)
        for target, course in courses.items():
            course.add(values[:, TARGETS.index(target)])
    found = {}
    for target, of in labels.items():
        parts = [part for label in of.values() if (part := courses[target].against(label)) is not None]
        pooled = Moments.pool(parts)
        if pooled.n:
            found[target] = {'constant': 0.0, 'course': pooled.ccc}
    return found
