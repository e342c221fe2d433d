"""Where features were not observed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.datasets.facts import PartitionFacts
from abawfw.visualization.blocks import Block, Column, Paragraph, Table

COLUMNS = [
    Column('feature'),
    Column('partition'),
    Column('frames', ','),
    Column('missing', ','),
    Column('share', '.1%'),
    Column('videos', ',', hint='with a missing frame'),
    Column('gaps', ','),
    Column('median', ',.0f', 'frames of a gap'),
    Column('99 %', ',.0f', 'frames of a gap'),
    Column('longest', ',', 'frames of a gap'),
]


def missing_features(partitions: Mapping[str, PartitionFacts]) -> list[str]:
    """Features with a frame that was not observed, sorted."""
    found = {name for part in partitions.values() for name, facts in part.missing.items() if facts.missing}
    return sorted(found)


def missing_blocks(partitions: Mapping[str, PartitionFacts]) -> list[Block]:
    """A row per feature with missing frames and partition."""
    rows = []
    for feature in missing_features(partitions):
        for name, part in partitions.items():
            if feature not in part.missing:
                continue
            facts = part.missing[feature]
            gaps = facts.gaps
            row = [feature, name, facts.frames, facts.missing, facts.missing / max(facts.frames, 1)]
            row.append(sum(video.missing.get(feature, 0) > 0 for video in part.videos))
            sizes = [*np.percentile(gaps, [50, 99]).tolist(), int(gaps.max())] if len(gaps) else [None] * 3
            rows.append([*row, len(gaps), *sizes])
    if not rows:
        return [Paragraph('None, as far as the store tells: every feature was observed in every frame.')]
    return [Table('Missing frames by feature', COLUMNS, rows)]
