"""report.json: what the tests of a run measured."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.files import write_text
from abawfw.json_files import read_json

NAME = 'report.json'


def update_report(
    folder: Path,
    postprocess: Mapping[str, Mapping[str, list[str]]],
    rows: Mapping[str, list[dict[str, Any]]],
    made_with: Mapping[str, Mapping[str, Any]],
    bounds: Mapping[str, Mapping[str, float]],
) -> Path:
    """Write what was tested now over what was said of it; other partitions and targets stay.

    Args:
        folder: of the prediction files.
        postprocess: steps of each target, as text, by partition.
        rows: of ``report_rows``, for all targets, by partition with labels.
        made_with: of ``made_with.record``, of each target, by partition.
        bounds: CCC on val of what a model must beat, by target and name, see ``lower_bounds``.

    Returns:
        The file.
    """
    texts, kept, made, beaten = _before(folder / NAME)
    for partition, by_target in postprocess.items():
        texts[partition] = {**texts.get(partition, {}), **by_target}
        made[partition] = {**made.get(partition, {}), **made_with[partition]}
        others = [row for row in kept.get(partition, []) if row.get('target') not in by_target]
        kept[partition] = sorted(
            [*others, *rows.get(partition, [])], key=lambda row: row['target'], reverse=True
        )
    kept = {partition: found for partition, found in kept.items() if found}
    content = {'postprocess': texts, 'rows': kept, KEY: made, 'lower_bounds': {**beaten, **bounds}}
    write_text(folder / NAME, json.dumps(content, indent=1) + '\n')
    return folder / NAME


def check_report(folder: Path) -> None:
    """Find out before the work whether what earlier tests left can be kept.

    Raises:
        DataError: report.json is damaged.
    """
    _before(folder / NAME)


def _before(
    path: Path,
) -> tuple[dict[str, dict[str, list[str]]], dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]], dict]:
    """What an earlier test left; nothing of a version that says it otherwise."""
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
"""Where it stands in report.json: by partition (val, test), then by target."""


def digest(checkpoint: Path) -> str:
    """What tells a checkpoint from another of the same name, of the run trained anew."""
    with checkpoint.open('rb') as file:
        return hashlib.file_digest(file, 'blake2b').hexdigest()


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
        'config_sha256': hashlib.sha256(text.encode()).hexdigest(),
    }


def recorded(report: Mapping[str, Any], partition: str, target: str) -> dict[str, Any] | None:
    """What a report.json says that a target was predicted with; None where it does not."""
    found: Any = report.get(KEY)
    for key in (partition, target):
        found = found.get(key) if isinstance(found, dict) else None
    strings = isinstance(found, dict) and all(isinstance(found.get(k), str) for k in ('checkpoint', 'digest'))
    return found if strings and '\0' not in found['checkpoint'] else None


def doubts(
    run: Path,
    folder: Path,
    report: Mapping[str, Any],
    targets: Sequence[str],
    partitions: Sequence[str] = ('val',),
) -> list[str]:
    """What speaks against predictions being those of the checkpoints that lie beside them, a line each.

    Args:
        run: folder that was named, a work_dir or a folder of prediction files.
        folder: of the prediction files.
        report: content of its report.json, {} without one.
        targets: those that are read.
        partitions: those that are read, of 'val' and 'test'.

    Returns:
        Nothing where everything fits, and for prediction files with neither report nor run around them.
    """
    own = folder.resolve() == (run / 'predictions').resolve()
    best = _best(run) if own else {}
    lines: dict[str, list[str]] = {}
    for partition in partitions:
        for target in targets:
            known = recorded(report, partition, target)
            if known is not None:
                text = _doubt(run, folder, known, best.get(f'ccc_{target}'))
            elif report or best:
                text = 'unknown: they are of an older version, or the test did not reach its end'
            else:
                text = None
            if text:
                lines.setdefault(text, []).append(f'{target} of {partition}')
    again = '; test the run again' if own else ''
    return [f'the checkpoint that predicted {", ".join(of)} is {text}{again}' for text, of in lines.items()]


def _doubt(run: Path, folder: Path, known: Mapping[str, Any], best: str | None) -> str | None:
    path = Path(os.path.normpath(folder / known['checkpoint']))
    if best is not None and path.resolve() != (run / best).resolve():
        return f"{path.name}, not {best}, the run's best"
    if not path.is_file():
        return f'{path.name}, which is not there any more'
    if digest(path) != known['digest']:
        return f'another {path.name} than the one that is there now'
    return None


def _best(run: Path) -> dict[str, str]:
    """Names of a run's best checkpoints by score, as its summary.json says; {} where it does not."""
    try:
        found = read_json(run / 'summary.json')['best']
        return {key: Path(value['file']).name for key, value in found.items()}
    except (DataError, ValueError, KeyError, TypeError, AttributeError):
        return {}
