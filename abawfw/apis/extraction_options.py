"""Options of extractors as they stand on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.config.overrides import parse_words
from abawfw.errors import ConfigError


def parse_options(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Arguments by feature, of words such as ``face_embedding.weights=FILE``.

    Values are read as those of ``--cfg-options``; what stands behind further dots goes into a dict.

    Raises:
        ConfigError: a word without '=', or without the name of a feature and a dot.
    """
    options: dict[str, dict[str, Any]] = {}
    for word in words:
        ((key, value),) = parse_words([word], '--options').items()
        feature, *path = key.split('.')
        if not path or not all((feature, *path)):
            raise ConfigError(f'--options {key}=...: give FEATURE.OPTION=VALUE')
        place = options.setdefault(feature, {})
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return options
