"""One thing that is wrong, or worth knowing, about stored data."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ('error', 'warning', 'note')


@dataclass(frozen=True)
class Problem:
    """A finding of tools/check_data.py.

    Attributes:
        severity: 'error' (a run would stop or be wrong), 'warning' (look at it) or 'note' (good to know).
        check: what was looked at, in one or two words.
        text: what was found, with its numbers and the way out.
        partition: where, if it is one partition.
        video_id: where, if it is one video.
        feature: where, if it is one feature.
    """

    severity: str
    check: str
    text: str
    partition: str = ''
    video_id: str = ''
    feature: str = ''
