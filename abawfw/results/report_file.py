"""What tests of a run measured, in report.json, and how they post-processed, in postprocess_TARGET.json."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.postprocess import Pipeline
from abawfw.files import write_text
from abawfw.json_files import read_json
from abawfw.prediction_files import AGAIN

REPORT = 'report.json'


def update_report(
    folder: Path,
    postprocess: Mapping[str, Mapping[str, list[str]]],
    rows: Mapping[str, list[dict[str, Any]]],
    made_with: Mapping[str, Mapping[str, Any]],
    bounds: Mapping[str, Mapping[str, float]],
) -> Path:
    """Write what was tested now over what an earlier test wrote of it; other partitions and targets stay.

    Args:
        folder: of the prediction files.
        postprocess: steps of each target, as text, by partition.
        rows: of ``report_rows``, for all targets, by partition with labels.
        made_with: of ``record``, of each target, by partition.
        bounds: CCC on val of what a model must beat, by target and name, see ``lower_bounds``.

    Returns:
        The file.
    """
    texts, kept, made, beaten = _before(folder / REPORT)
    for partition, by_target in postprocess.items():
        texts[partition] = {**texts.get(partition, {}), **by_target}
        made[partition] = {**made.get(partition, {}), **made_with[partition]}
        others = [row for row in kept.get(partition, []) if row.get('target') not in by_target]
        kept[partition] = sorted(
            [*others, *rows.get(partition, [])], key=lambda row: row['target'], reverse=True
        )
    kept = {partition: found for partition, found in kept.items() if found}
    content = {'postprocess': texts, 'rows': kept, KEY: made, 'lower_bounds': {**beaten, **bounds}}
    write_text(folder / REPORT, json.dumps(content, indent=1) + '\n')
    return folder / REPORT


def check_report(folder: Path) -> None:
    """Find out before the work whether what earlier tests left can be kept.

    Raises:
        DataError: report.json is damaged.
    """
    _before(folder / REPORT)


def _before(
    path: Path,
) -> tuple[dict[str, dict[str, list[str]]], dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]], dict]:
    """What an earlier test left; nothing of a version with another structure."""
    if not path.is_file():
        return {}, {}, {}, {}
    try:
        content = read_json(path)
    except DataError as error:
        raise DataError(
            f'{error}, so what other partitions reached cannot be kept: remove it and test all of them again'
        ) from None
    try:
        texts = {p: {t: list(steps) for t, steps in of.items()} for p, of in content['postprocess'].items()}
        rows = {
            p: [dict(row) for row in of if isinstance(row['target'], str)]
            for p, of in content['rows'].items()
        }
        made = {p: dict(of) for p, of in content.get(KEY, {}).items()}
        bounds = dict(content.get('lower_bounds', {}))  # new in version 0.2
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, {}, {}, {}
    return texts, rows, made, bounds


KEY = 'made_with'
"""Where it stands in report.json: by partition (train, val, test), then by target."""


def digest(checkpoint: Path) -> str:
    """Of the bytes of a checkpoint: a run trained anew has other ones of the same name."""
    with checkpoint.open('rb') as file:
        return hashlib.file_digest(file, 'blake2b').hexdigest()


def text_digest(text: str) -> str:
    """Of the text of a config."""
    return hashlib.sha256(text.encode()).hexdigest()


def record(folder: Path, checkpoint: Path, config: str | None, text: str) -> dict[str, str | None]:
    """What one target of one partition was predicted with.

    Args:
        folder: of the prediction files.
        checkpoint: the file.
        config: its file, None where there is none.
        text: of the config with its overrides.

    Returns:
        ``checkpoint``, its path from the folder, so that both may move together; ``digest`` of its bytes;
        ``config``, the name of its file; ``config_sha256`` of its text.
    """
    return {
        'checkpoint': Path(os.path.relpath(checkpoint.resolve(), folder.resolve())).as_posix(),
        'digest': digest(checkpoint),
        'config': None if config is None else Path(config).name,
        'config_sha256': text_digest(text),
    }


def recorded(report: Mapping[str, Any], partition: str, target: str) -> dict[str, Any] | None:
    """The record in a report.json of what a target was predicted with; None where there is none."""
    found: Any = report.get(KEY)
    for key in (partition, target):
        found = found.get(key) if isinstance(found, dict) else None
    strings = isinstance(found, dict) and all(isinstance(found.get(k), str) for k in ('checkpoint', 'digest'))
    return found if strings and '\0' not in found['checkpoint'] else None


def doubts(
    folder: Path,
    report: Mapping[str, Any],
    best: Mapping[str, Path] | None,
    targets: Sequence[str],
    partitions: Sequence[str],
) -> list[str]:
    """What speaks against predictions being those of the checkpoints that lie beside them, a line each.

    Args:
        folder: of the prediction files.
        report: content of its report.json, {} without one.
        best: the run's best checkpoints by score, as far as they are known; None where no run is around.
        targets: those that are read.
        partitions: those that are read, of 'train', 'val' and 'test'.

    Returns:
        Nothing where everything fits, and for prediction files with neither report nor run around them.
    """
    lines: dict[str, list[str]] = {}
    for partition in partitions:
        for target in targets:
            known = recorded(report, partition, target)
            if known is not None:
                text = _doubt(folder, known, (best or {}).get(f'ccc_{target}'))
            elif report or best:
                text = 'unknown: they are of an older version, or the test did not reach its end'
            else:
                text = None
            if text:
                lines.setdefault(text, []).append(f'{target} of {partition}')
    again = '' if best is None else '; test the run again'
    return [f'the checkpoint that predicted {", ".join(of)} is {text}{again}' for text, of in lines.items()]


def _doubt(folder: Path, known: Mapping[str, Any], best: Path | None) -> str | None:
    path = Path(os.path.normpath(folder / known['checkpoint']))
    if best is not None and path.resolve() != best.resolve():
        return f"{path.name}, not {best.name}, the run's best"
    if not path.is_file():
        return f'{path.name}, which is not there any more'
    if digest(path) != known['digest']:
        return f'another {path.name} than the one that is there now'
    return None


class TestedPipeline(NamedTuple):
    """The post-processing that a target was last tested with.

    Attributes:
        pipeline: what was applied.
        configured: settings of what the config says, before anything was tuned.
        checkpoint: name of the file that predicted it.
        digest: of its bytes.
    """

    pipeline: Pipeline
    configured: list[dict[str, Any]]
    checkpoint: str
    digest: str

    def belongs_to(self, checkpoint: Path) -> bool:
        """Whether it was this very checkpoint that was tested."""
        return (self.checkpoint, self.digest) == (checkpoint.name, digest(checkpoint))


def write_pipeline(folder: Path, target: str, checkpoint: Path, pipeline: Pipeline, given: Pipeline) -> Path:
    """Keep the post-processing of a target with the predictions of a checkpoint.

    Args:
        folder: of the prediction files.
        target: which one.
        checkpoint: that predicted it.
        pipeline: what was applied.
        given: what the config says, before anything was tuned.
    """
    path = folder / _pipeline_file(target)
    content = {
        'checkpoint': checkpoint.name,
        'digest': digest(checkpoint),
        'configured': given.settings(),
        'postprocess': pipeline.settings(),
    }
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def read_pipeline(folder: Path, target: str) -> TestedPipeline | None:
    """The post-processing that the last test left with predictions; None if it left none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / _pipeline_file(target)
    if not path.is_file():
        return None
    content = read_json(path, AGAIN)
    try:
        pipeline = Pipeline.build(content['postprocess'])
        configured = [dict(step) for step in content['configured']]
        return TestedPipeline(pipeline, configured, content['checkpoint'], content['digest'])
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(f'{path} is damaged ({error}); {AGAIN}') from error


def _pipeline_file(target: str) -> str:
    return f'postprocess_{target}.json'
