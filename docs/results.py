"""The tables of results.md, from docs/results/*.csv: what tools/compare_configs.py wrote, kept as it was.

Run by generate.py.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from abawfw.conventions import TARGETS

KEPT = Path(__file__).resolve().parent / 'results'


def results_table(name: str) -> str:
    """The table of a protocol: a row per config."""
    by_config: dict[str, dict[str, dict[str, str]]] = {}
    with (KEPT / f'{name}.csv').open(encoding='utf-8', newline='') as file:
        for row in csv.DictReader(file):
            by_config.setdefault(row['config'], {})[row['target']] = row
    first, *_ = by_config
    costs = {'parameters': 'parameters', 'seconds': 'seconds', 'frames_per_second': 'frames per second'}
    header = ['config', *TARGETS, *(f'{target}, to {first}' for target in TARGETS), *costs.values()]
    lines = [header, ['---'] * len(header)]
    for config, rows in by_config.items():
        lines.append(
            [
                config,
                *(_score(rows[target]) for target in TARGETS),
                *(_difference(rows[target]) for target in TARGETS),
                *(f'{float(rows["mean"][key]):,.0f}' for key in costs),
            ]
        )
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'


def _score(row: Mapping[str, str]) -> str:
    low, high = row['ccc_low'], row['ccc_high']
    interval = f' ({_number(low)} to {_number(high)})' if low else ''
    return f'{_number(row["ccc"])} ± {_number(row["std"])}{interval}'


def _difference(row: Mapping[str, str]) -> str:
    if not row['difference']:
        return row['verdict']
    low, high = row['difference_low'], row['difference_high']
    interval = f' ({_number(low, "+")} to {_number(high, "+")})' if low else ''
    return f'{_number(row["difference"], "+")}{interval}, {row["verdict"]}'


def _number(text: str, sign: str = '') -> str:
    return format(float(text), f'{sign}.3f')
