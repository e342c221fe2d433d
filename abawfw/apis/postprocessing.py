"""What a run does to raw predictions, as its config says and as it was last tested."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.postprocess import MeanSmoothing, Pipeline
from abawfw.evaluation.va_metric import WINDOWS
from abawfw.files import write_text
from abawfw.json_files import read_json
from abawfw.results.report_file import digest


def predictions_of(tested: Path) -> Path:
    """Where the predictions of a run lie, or those of one checkpoint, which leave a run's own alone.

    Args:
        tested: work_dir of a run, or a checkpoint file, of a run or alone in its folder.
    """
    if tested.is_dir():
        return tested / 'predictions'
    of_run = (tested.parent / 'config.py').is_file()
    return tested.with_name(f'predictions_{tested.stem}' if of_run else 'predictions')


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
        for folder in (predictions_of(checkpoint), predictions_of(checkpoint.parent)):
            stored = _read(folder / _file_name(target))
            if stored is not None and stored.belongs_to(checkpoint):
                found[target] = stored.pipeline
        if not found[target].fitted:
            raise ConfigError(
                f'{checkpoint}: the post-processing of {target} ({found[target]}) is to be fitted on val '
                f'first; that is done by: python tools/test.py {shlex.quote(str(checkpoint.parent))}'
            )
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
        stored = _read(folder / _file_name(target))
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


def write_pipeline(folder: Path, target: str, checkpoint: Path, pipeline: Pipeline, given: Pipeline) -> Path:
    """Keep the post-processing of a target with the predictions of a checkpoint.

    Args:
        folder: of the prediction files.
        target: which one.
        checkpoint: that predicted it.
        pipeline: what was applied.
        given: what the config says, before anything was tuned.
    """
    path = folder / _file_name(target)
    content = {
        'checkpoint': checkpoint.name,
        'digest': digest(checkpoint),
        'configured': given.settings(),
        'postprocess': pipeline.settings(),
    }
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def _file_name(target: str) -> str:
    return f'postprocess_{target}.json'


class _Stored(NamedTuple):
    """What a test left of a target."""

    pipeline: Pipeline
    configured: list[dict[str, Any]]
    checkpoint: str
    digest: str

    def belongs_to(self, checkpoint: Path) -> bool:
        """Whether it was this very checkpoint that was tested."""
        return (self.checkpoint, self.digest) == (checkpoint.name, digest(checkpoint))


def _read(path: Path) -> _Stored | None:
    """What the last test left; None if there was none."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except DataError as error:
        raise DataError(f'{error}; write it again with: python tools/test.py RUN') from None
    try:
        pipeline = Pipeline.build(content['postprocess'])
        return _Stored(pipeline, content['configured'], content['checkpoint'], content['digest'])
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(
            f'{path} is damaged ({error}); write it again with: python tools/test.py RUN'
        ) from error
