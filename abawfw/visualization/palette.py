"""The colours of curves, targets and runs: the same on every picture and page."""

from __future__ import annotations

LABEL, RAW, SMOOTHED = '#444444', '#9ecae1', '#d62728'
TARGETS = {'valence': '#c0392b', 'arousal': '#2563a8'}
INK, FAINT = '#1f2933', '#5b6672'
SERIES = ('#2563a8', '#c0392b', '#2a7f62', '#b06c00', '#6b4fa0', '#00798c', '#a23b72', '#5c6b73')
"""Runs, partitions and whatever else is told apart by colour; each has a contrast of 4 or more on white."""

DENSITY = [[0.0, '#ffffff'], [0.02, '#e3edf6'], [0.2, '#9ecae1'], [0.5, '#4a90c2'], [1.0, '#123a63']]
"""Scale of two-dimensional densities, in Plotly's form; nothing is white."""
