"""Checkpoint files: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch

from abawfw.errors import CheckpointError, TrainingError

FORMAT = 'abawfw-checkpoint'
_RESUMABLE = re.compile(r'^epoch_(\d+)(?:_batch_(\d+))?\.pth$')


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain values.

    The file is written under a temporary name, flushed to disk and renamed, so a reader sees the old file or
    the new one and never half of it.

    Raises:
        TrainingError: the disk is full or not writable; what was there before is untouched.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with temporary.open('wb') as file:
            torch.save({'format': FORMAT, 'version': 1, **checkpoint}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f'cannot write {path}: {error}. The checkpoints already in {path.parent} are untouched: free some '
            f'space, then continue with --resume'
        ) from error


def load_checkpoint(path: Path, device: str | torch.device = 'cpu') -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted, so no code in it can run.

    Raises:
        CheckpointError: the file is missing, damaged or half-written, carries code, or is not ours.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such checkpoint')
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        if 'weights_only' in str(error) or 'Unsupported' in str(error):
            raise CheckpointError(
                f'{path}: refused, since it holds objects other than tensors and plain values and loading them '
                f'could run code. Convert it with tools/convert_checkpoint.py, or save its state dict alone'
            ) from error
        raise CheckpointError(f'{path}: damaged or half-written ({type(error).__name__}: {error})') from error
    if not isinstance(checkpoint, dict) or checkpoint.get('format') != FORMAT:
        raise CheckpointError(
            f'{path}: not a checkpoint of abawfw. Checkpoints of other systems are converted with '
            f'tools/convert_checkpoint.py'
        )
    return checkpoint


def resumable_name(epoch: int, batch: int) -> str:
    """File name of the training state after this many epochs and batches of the next one."""
    return f'epoch_{epoch}_batch_{batch}.pth' if batch else f'epoch_{epoch}.pth'


def resumable_checkpoints(work_dir: Path) -> list[Path]:
    """Checkpoints of a run that hold a whole training state, most advanced first.

    Found by name rather than through a pointer file, so a moved or renamed work_dir still resumes.
    """
    found = [(m, p) for p in work_dir.glob('epoch_*.pth') if (m := _RESUMABLE.match(p.name))]
    return [p for m, p in sorted(found, key=lambda x: (int(x[0][1]), int(x[0][2] or 0)), reverse=True)]


def load_state_dict(model: torch.nn.Module, state_dict: dict[str, torch.Tensor], path: Path) -> None:
    """Load weights into a model of the same architecture.

    Raises:
        CheckpointError: keys or shapes differ; the message lists them.
    """
    own = model.state_dict()
    missing = [k for k in own if k not in state_dict]
    unexpected = [k for k in state_dict if k not in own]
    shapes = [
        f'{k}: {tuple(v.shape)} in the checkpoint, {tuple(own[k].shape)} in the model'
        for k, v in state_dict.items()
        if k in own and own[k].shape != v.shape
    ]
    if missing or unexpected or shapes:
        parts = [
            f'{title} ({len(keys)}): ' + ', '.join(keys[:8]) + (' ...' if len(keys) > 8 else '')
            for title, keys in (
                ('missing', missing),
                ('unexpected', unexpected),
                ('of another shape', shapes),
            )
            if keys
        ]
        raise CheckpointError(
            f'{path}: belongs to another architecture or feature list than the config; keys '
            + '; '.join(parts)
            + '. Use the config beside the checkpoint'
        )
    model.load_state_dict(state_dict)
