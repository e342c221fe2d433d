"""Demo configs made tiny."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, Any] = {
    'epochs': 3,
    'lr': 1e-3,
    'constant_epochs': 1,
    'hidden': 16,
    'heads': 2,
    'ffn': 16,
    'layers': 1,
    'regressor': [8],
    'segment_length': 40,
}
OF_MODEL = {
    'transformer': set(TINY),
    'fclstm_xl': set(TINY) - {'heads', 'ffn', 'layers'},
    'transformer_attention': set(TINY),
}

Train = Callable[..., dict[str, Any]]


def tiny_overrides(model: str, data: Path, **more: Any) -> dict[str, Any]:
    """Overrides that make a demo config tiny."""
    tiny = {k: v for k, v in TINY.items() if k in OF_MODEL[model]}
    return {'data_root': str(data), 'features': ['affectnet', 'egemaps'], **tiny, **more}


def tiny_config(model: str) -> Path:
    return ROOT / f'configs/rucaim3/{model}_demo.py'
