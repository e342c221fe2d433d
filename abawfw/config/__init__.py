"""A config loaded, its references resolved, checked before anything is built, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.config.check import config_problems
    from abawfw.config.diff import config_diff
    from abawfw.config.loading import VAConfig, load_config, resolve

lazy(__name__)
