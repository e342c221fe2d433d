"""What trackers need: packages, which not everybody has, and servers that answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from abawfw.registry import VISBACKENDS


def missing_trackers(visualizer: Any) -> Iterator[str]:
    """What is missing for the trackers that a resolved config names under ``visualizer``, one line each.

    A tracker of ours says in ``needs`` which packages it imports and which extra of abawfw brings them, and
    with ``problem(config)`` why what it records to cannot be used.
    """
    backends = visualizer.get('vis_backends') if isinstance(visualizer, dict) else None
    for i, backend in enumerate(backends if isinstance(backends, (list, tuple)) else [backends]):
        name = backend.get('type') if isinstance(backend, dict) else None
        tracker = VISBACKENDS.get(name) if isinstance(name, str) else None
        packages, extra = getattr(tracker, 'needs', ((), ''))
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            yield (
                f'visualizer.vis_backends[{i}]: {name} needs {", ".join(missing)}, which is not installed: '
                f'pip install -e .[{extra}]'
            )
            continue
        problem = getattr(tracker, 'problem', None)
        if problem is not None and (text := problem(backend)) is not None:
            yield f'visualizer.vis_backends[{i}]: {text}'
