"""What a run does to raw predictions, as its config says and as it was last tested."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.errors import ConfigError
from abawfw.evaluation.postprocess import MeanSmoothing, Pipeline
from abawfw.evaluation.va_metric import WINDOWS
from abawfw.results.interval_file import KeptIntervals, read_intervals
from abawfw.results.report_file import digest, read_pipeline
from abawfw.results.run import CONFIG, PREDICTIONS, Run


def predictions_of(tested: Path) -> Path:
    """Where the predictions of a run lie, or those of one checkpoint, which leave a run's own alone.

    Args:
        tested: work_dir of a run, or a checkpoint file, of a run or alone in its folder.
    """
    if tested.is_dir():
        return tested / PREDICTIONS
    of_run = (tested.parent / CONFIG).is_file()
    return tested.with_name(f'{PREDICTIONS}_{tested.stem}' if of_run else PREDICTIONS)


def configured(cfg: Config, targets: Sequence[str]) -> dict[str, Pipeline]:
    """The post-processing of each target: ``postprocess`` of the config, or the mean over its window.

    Args:
        cfg: resolved config of the run.
        targets: which ones.

    Raises:
        ConfigError: a component does not accept a value.
    """
    found = Pipeline.by_target(cfg.to_dict().get('postprocess', {}), targets)
    windows, problems = {**WINDOWS, **cfg.get('windows', {})}, []
    for target in (target for target in targets if target not in found):
        try:
            found[target] = Pipeline([MeanSmoothing(windows[target])])
        except ConfigError as error:
            problems.append(f'windows.{target}: {error}')
    if problems:
        raise ConfigError('\n'.join(problems))
    return {target: found[target] for target in targets}


def as_tested(cfg: Config, checkpoints: Mapping[str, Path]) -> dict[str, Pipeline]:
    """The post-processing of each target with which these checkpoints were last tested beside themselves.

    So what was searched for or fitted on val is applied to any video. The predictions of the run come before
    those of a checkpoint on its own. For a checkpoint that was not tested, it is that of the config.

    Args:
        cfg: resolved config of the run.
        checkpoints: of each target.

    Raises:
        ConfigError: it is to be fitted, and the checkpoint was not tested.
        DataError: what the test left is damaged.
    """
    found = configured(cfg, list(checkpoints))
    for target, checkpoint in checkpoints.items():
        for folder in (predictions_of(checkpoint), checkpoint.parent):
            stored = Run(folder).post_processing(target)
            if stored is not None and stored.belongs_to(checkpoint):
                found[target] = stored.pipeline
        if not found[target].fitted:
            raise ConfigError(
                f'{checkpoint}: the post-processing of {target} ({found[target]}) is to be fitted on val '
                f'first; that is done by: python tools/test.py {shlex.quote(str(checkpoint.parent))}'
            )
    return found


def intervals_as_tested(
    checkpoints: Mapping[str, Path], postprocess: Mapping[str, Pipeline], clips: Mapping[str, Any]
) -> dict[str, KeptIntervals]:
    """The intervals that a test left of these checkpoints, clips and this post-processing, beside them.

    Args:
        checkpoints: of each target.
        postprocess: of each target.
        clips: as ``clips_of`` gives them.

    Returns:
        By target, without those that were tested without intervals; where they were found for other
        predictions there are none, with the reason.

    Raises:
        DataError: what the test left is damaged.
    """
    found: dict[str, KeptIntervals] = {}
    for target, checkpoint in checkpoints.items():
        for folder in (predictions_of(checkpoint), checkpoint.parent):
            kept = read_intervals(Run(folder).folder, target)
            if kept is not None:
                kept = kept.belonging(digest(checkpoint), postprocess[target], clips)
                if target not in found or kept.found.reach is not None:
                    found[target] = kept
    return found


def as_validated(
    cfg: Config, checkpoints: Mapping[str, Path], folder: Path
) -> tuple[dict[str, Pipeline], list[str]]:
    """The post-processing of each target for partitions without labels.

    That with which the same checkpoint was last tested into the folder, under a config that says the same; so
    what was tuned on val is applied to the test videos, also when they come later. Otherwise the config's.

    Args:
        cfg: resolved config of the run.
        checkpoints: of each target.
        folder: of the prediction files.

    Returns:
        The pipelines, and a line for each target whose files of val do not fit.

    Raises:
        DataError: what the test left is damaged.
    """
    found, notes = configured(cfg, list(checkpoints)), []
    for target, checkpoint in checkpoints.items():
        stored = read_pipeline(folder, target)
        if stored is None:
            continue
        if not stored.belongs_to(checkpoint):
            notes.append(f'{target}: what {folder} has of val was predicted by other weights; test val again')
        elif stored.configured != found[target].settings():
            notes.append(
                f'{target}: what {folder} has of val was smoothed by {stored.pipeline}; test val again'
            )
        else:
            found[target] = stored.pipeline
    return found, notes
