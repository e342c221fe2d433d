"""What differs between two configs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from abawfw.config import resolve

Path = tuple[str | int, ...]


def config_diff(ours: Config, theirs: Config) -> list[str]:
    """Compare two loaded configs, references not resolved.

    A value that both take from the same top-level value is not listed again where it is used.

    Returns:
        One line ``key: ours -> theirs`` per difference, in the order of the keys.

    Raises:
        ConfigError: a reference of either config names no top-level value, or refers to itself.
    """
    before, after = resolve(ours).to_dict(), resolve(theirs).to_dict()
    lines = []
    for path in _differing(ours.to_dict(), theirs.to_dict(), ()):
        texts = [_text(config, path) for config in (before, after)]
        if texts[0] != texts[1]:
            lines.append(f'{".".join(map(str, path))}: {texts[0]} -> {texts[1]}')
    return lines


def _differing(ours: Any, theirs: Any, path: Path) -> Iterator[Path]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            if key not in ours or key not in theirs:
                yield (*path, key)
            else:
                yield from _differing(ours[key], theirs[key], (*path, key))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differing(a, b, (*path, i))
    elif type(ours) is not type(theirs) or ours != theirs:
        yield path


def _text(config: Any, path: Path) -> str:
    for part in path:
        if isinstance(config, dict) and part not in config:
            return '(absent)'
        config = config[part]
    return repr(config)
