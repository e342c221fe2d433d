"""Ensembles of tested runs, and the files that a challenge asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.submission.ensemble import Ensemble
    from abawfw.submission.formats import SampleFile, write_submission

lazy(__name__)
