"""Text and values put into HTML and scripts such that nothing in them is executed."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

DIGITS = 7
"""Significant digits of numbers in scripts: what float32 holds, and more than a figure shows."""


def escape(value: Any) -> str:
    """Text for HTML, between tags or in a quoted attribute."""
    return html.escape(str(value), quote=True)


def plot_text(value: Any) -> str:
    """Text for Plotly, whose titles, ticks and hover boxes take a part of HTML for markup.

    >>> plot_text('<b>video & more</b>')
    '&lt;b&gt;video &amp; more&lt;/b&gt;'
    """
    return html.escape(str(value), quote=False)


def to_json(value: Any) -> str:
    r"""JSON that can stand inside a script tag.

    Arrays of numpy become lists, tuples too, numbers keep 7 significant digits, and NaN and infinity become
    null. ``<`` is written as an escape, so that no text can end the script or open a comment.

    >>> to_json({'x': [float('nan'), 0.1 + 0.2], 'name': '</script>'})
    '{"x":[null,0.3],"name":"\\u003c/script>"}'
    """
    text = json.dumps(_plain(value), allow_nan=False, separators=(',', ':'))
    return text.replace('<', '\\u003c')


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return float(f'{value:.{DIGITS}g}') if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
