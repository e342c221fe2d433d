"""What the command lines and notebooks call.

``VAInferencer`` is imported when it is first asked for: this package itself costs no start-up time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abawfw.apis.inferencer import VAInferencer

__all__ = ['VAInferencer']


def __getattr__(name: str) -> Any:
    if name == 'VAInferencer':
        from abawfw.apis.inferencer import VAInferencer

        return VAInferencer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
