"""One run: the runner, its loops and hooks, and the state with which it continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.engine.va_runner import VARunner

lazy(__name__)
