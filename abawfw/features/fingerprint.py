"""Which weights a feature was made with."""

from __future__ import annotations

import hashlib
from pathlib import Path

KINDS = ('.safetensors', '.bin', '.json', '.txt', '.model')
"""Files of a folder that decide what its model gives: weights, settings, vocabulary."""


def fingerprint(path: Path) -> str:
    """The first 16 hex digits of the SHA-256 of a file, or of what decides about the model of a folder.

    Unlike the path it is the same wherever the file lies, and another one when its content is.
    """
    files = sorted(f for f in path.iterdir() if f.suffix in KINDS) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        if path.is_dir():
            digest.update(file.name.encode())
        with file.open('rb') as content:
            digest.update(hashlib.file_digest(content, 'sha256').digest())
    return digest.hexdigest()[:16]
