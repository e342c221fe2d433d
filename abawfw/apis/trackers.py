"""The trackers that a config turns on, and what they need: packages, and servers that answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from abawfw.config.loading import TRACKERS
from abawfw.registry import VISBACKENDS


def recorder(cfg: dict[str, Any]) -> dict[str, Any] | None:
    """The ``visualizer`` of a resolved config, with the trackers that stand under keys of their own.

    Those keys, and not one list, let the bases that turn trackers on add up.
    """
    own = [cfg[key] for key in TRACKERS if cfg.get(key) is not None]
    given = cfg.get('visualizer')
    if not own:
        return given
    more = (given or {}).get('vis_backends') or []
    return {'type': 'Visualizer', **(given or {}), 'vis_backends': [*more, *own]}


def missing_trackers(cfg: dict[str, Any]) -> Iterator[str]:
    """What is missing for the trackers of a resolved config, one line each.

    A tracker of ours says in ``needs`` which packages it imports and which extra of abawfw brings them, and
    with ``problem(config)`` why what it records to cannot be used.
    """
    visualizer = cfg.get('visualizer')
    listed = visualizer.get('vis_backends') if isinstance(visualizer, dict) else None
    named = {
        f'visualizer.vis_backends[{i}]': b for i, b in enumerate(listed if isinstance(listed, list) else ())
    }
    for place, backend in {**named, **{key: cfg.get(key) for key in TRACKERS}}.items():
        name = backend.get('type') if isinstance(backend, dict) else None
        tracker = VISBACKENDS.get(name) if isinstance(name, str) else None
        packages, extra = getattr(tracker, 'needs', ((), ''))
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            yield (
                f'{place}: {name} needs {", ".join(missing)}, which is not installed: '
                f'pip install -e .[{extra}]'
            )
            continue
        problem = getattr(tracker, 'problem', None)
        if problem is not None and (text := problem(backend)) is not None:
            yield f'{place}: {text}'
