"""What a run does to raw predictions, as its config says and as it was last tested."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.postprocess import MeanSmoothing, Pipeline
from abawfw.evaluation.va_metric import WINDOWS
from abawfw.files import write_text


def configured(cfg: Config, targets: Sequence[str]) -> dict[str, Pipeline]:
    """The post-processing of each target: ``postprocess`` of the config, or the mean over its window.

    Args:
        cfg: resolved config of the run.
        targets: which ones.

    Raises:
        ConfigError: a component does not accept a value.
    """
    given: Any = cfg.to_dict().get('postprocess', {})
    lists = given if isinstance(given, dict) else dict.fromkeys(targets, given)
    windows = {**WINDOWS, **cfg.get('windows', {})}
    return {
        target: Pipeline.build(lists[target])
        if target in lists
        else Pipeline([MeanSmoothing(windows[target])])
        for target in targets
    }


def as_tested(cfg: Config, checkpoints: Mapping[str, Path]) -> dict[str, Pipeline]:
    """The post-processing of each target with which these checkpoints were last tested into their folder.

    So what was searched for or fitted on val is applied to any video. For a checkpoint that was not tested,
    it is that of the config.

    Args:
        cfg: resolved config of the run.
        checkpoints: of each target.

    Raises:
        ConfigError: it is to be fitted, and the checkpoint was not tested.
        DataError: what the test left is damaged.
    """
    found = configured(cfg, list(checkpoints))
    for target, checkpoint in checkpoints.items():
        folder = checkpoint.parent / 'predictions'
        found[target] = _read(folder / _file_name(target), checkpoint.name) or found[target]
        if not found[target].fitted:
            raise ConfigError(
                f'{checkpoint}: the post-processing of {target} ({found[target]}) is to be fitted on val '
                f'first; that is done by: python tools/test.py {checkpoint.parent}'
            )
    return found


def write_pipeline(folder: Path, target: str, checkpoint: Path, pipeline: Pipeline) -> Path:
    """Keep the post-processing of a target with the predictions of a checkpoint."""
    path = folder / _file_name(target)
    content = {'checkpoint': checkpoint.name, 'postprocess': pipeline.settings()}
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def _file_name(target: str) -> str:
    return f'postprocess_{target}.json'


def _read(path: Path, checkpoint: str) -> Pipeline | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        return Pipeline.build(content['postprocess']) if content['checkpoint'] == checkpoint else None
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise DataError(
            f'{path} is damaged ({error}); write it again with: python tools/test.py RUN'
        ) from error
