"""report.json: what the tests of a run measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abawfw.errors import DataError
from abawfw.evaluation.made_with import KEY
from abawfw.files import write_text

NAME = 'report.json'


def update_report(
    folder: Path,
    postprocess: Mapping[str, Mapping[str, list[str]]],
    rows: Mapping[str, list[dict[str, Any]]],
    made_with: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write what was tested now over what was said of it; other partitions and targets stay.

    Args:
        folder: of the prediction files.
        postprocess: steps of each target, as text, by partition.
        rows: of ``report_rows``, for all targets, by partition with labels.
        made_with: of ``made_with.record``, of each target, by partition.
    """
    texts, kept, made = _before(folder / NAME)
    for partition, by_target in postprocess.items():
        texts[partition] = {**texts.get(partition, {}), **by_target}
        made[partition] = {**made.get(partition, {}), **made_with[partition]}
        others = [row for row in kept.get(partition, []) if row.get('target') not in by_target]
        kept[partition] = sorted(
            [*others, *rows.get(partition, [])], key=lambda row: row['target'], reverse=True
        )
    kept = {partition: found for partition, found in kept.items() if found}
    content = {'postprocess': texts, 'rows': kept, KEY: made}
    write_text(folder / NAME, json.dumps(content, indent=1) + '\n')


def check_report(folder: Path) -> None:
    """Find out before the work whether what earlier tests left can be kept.

    Raises:
        DataError: report.json is damaged.
    """
    _before(folder / NAME)


def _before(
    path: Path,
) -> tuple[dict[str, dict[str, list[str]]], dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """What an earlier test left; nothing of a version that says it otherwise."""
    if not path.is_file():
        return {}, {}, {}
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{path} is damaged, so what other partitions reached cannot be kept: {error}; remove it and '
            'test all partitions again'
        ) from error
    try:
        texts = {p: {t: list(steps) for t, steps in of.items()} for p, of in content['postprocess'].items()}
        rows = {
            p: [dict(row) for row in of if isinstance(row['target'], str)]
            for p, of in content['rows'].items()
        }
        made = {p: dict(of) for p, of in content.get(KEY, {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, {}, {}
    return texts, rows, made
