"""What a sampler asks a dataset for."""

from __future__ import annotations

from typing import NamedTuple


class ClipRequest(NamedTuple):
    """One clip, asked for by a sampler.

    It carries all that a sample depends on besides the data, so that a sample is the same whatever the number
    of worker processes, and after a resume.

    Attributes:
        clip: index in ``dataset.clips``.
        lane: which stream of a lane batch the clip belongs to.
        epoch: epoch in which it is asked for; seeds random transforms.
        filler: True if the sample only keeps ranks in step: no valid frame, no label.
    """

    clip: int
    lane: int = 0
    epoch: int = 0
    filler: bool = False
