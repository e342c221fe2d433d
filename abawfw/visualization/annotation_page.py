"""The page on which videos are rated, in a browser and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from abawfw.visualization.embed import to_json
from abawfw.visualization.page import asset, document
from abawfw.visualization.palette import DARK, TARGETS

SCRIPTS = ('label_passes.js', 'rating_clock.js', 'rating_drawing.js', 'rating_input.js', 'annotate.js')
MEDIA = "; media-src 'self' file: blob:"
"""Videos beside the page and those that the reader picks, but none from the network."""


class RatedVideo(NamedTuple):
    """A video of the page.

    Attributes:
        id: its name, as in a store.
        file: name of its file.
        path: of the file as an address, relative to the page.
        bytes: size of the file; passes belong to a video of this name and size.
        seconds: its duration, 0 if that is unknown.
        problem: why a browser may not play it; empty if all do.
        command: that converts it to what all browsers play.
    """

    id: str
    file: str
    path: str
    bytes: int
    seconds: float
    problem: str
    command: str


def annotation_page(videos: Sequence[RatedVideo]) -> str:
    """The page as HTML: one file, which loads nothing but the videos.

    Args:
        videos: at least one; the first is shown at first.
    """
    light = ''.join(f'--{target}: {color}; ' for target, color in TARGETS.items())
    dark = ''.join(f'--{target}: {DARK[color]}; ' for target, color in TARGETS.items())
    colors = f':root {{ {light}}}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n'
    listed = [video._asdict() for video in videos]
    data = f'<script type="application/json" id="videos">{to_json(listed)}</script>'
    return document(
        'Rate videos',
        'Watch a video and say at every moment how pleasant (valence) and how excited (arousal) the person '
        'in it is. All stays on this computer.',
        '',
        asset('annotate.html'),
        '\n'.join([data, *(f'<script>{asset(name)}</script>' for name in SCRIPTS)]),
        colors + asset('annotate.css'),
        MEDIA,
    )
