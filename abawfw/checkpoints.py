"""Checkpoint files: written whole or not at all, read without running code."""

from __future__ import annotations

import io
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from abawfw.errors import CheckpointError, TrainingError

FORMAT, VERSION = 'abawfw-checkpoint', 2
_BEST = re.compile(r'^best_(.+)_epoch_(\d+)\.pth$')
_RESUMABLE = re.compile(r'^epoch_(\d+)(?:_batch_(\d+))?\.pth$')


class DamagedCheckpointError(CheckpointError):
    """The file is truncated, half-written or not as it was written; an earlier one may be whole."""


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain values.

    The file is written under a temporary name, flushed to disk and renamed, so a reader sees the old file or
    the new one and never half of it.

    Raises:
        TrainingError: the disk is full or not writable; what was there before is untouched.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    content = io.BytesIO()  # torch writing to the file itself hides why a write failed
    torch.save({'format': FORMAT, 'version': VERSION, **checkpoint}, content)
    try:
        with temporary.open('wb') as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f'cannot write {path}: {error}. The checkpoints already in {path.parent} are untouched: free '
            f'some space, then continue with --resume'
        ) from error


def load_checkpoint(path: Path, device: str | torch.device = 'cpu') -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted, so no code in it can run.

    Raises:
        DamagedCheckpointError: the file is truncated or its checksums do not fit.
        CheckpointError: the file is missing, carries code, or is not ours.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such checkpoint')
    _check_whole(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch warns of foreign pickles that it then refuses
            checkpoint = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path}: refused, since it holds objects other than tensors and plain values and loading them '
            f'could run code. Convert it with tools/convert_checkpoint.py, or save its state dict alone'
        ) from error
    except Exception as error:
        raise DamagedCheckpointError(
            f'{path}: damaged or half-written ({type(error).__name__}: {error})'
        ) from error
    if not isinstance(checkpoint, dict) or checkpoint.get('format') != FORMAT:
        raise CheckpointError(
            f'{path}: not a checkpoint of abawfw. Checkpoints of other systems are converted with '
            f'tools/convert_checkpoint.py'
        )
    if checkpoint['version'] != VERSION:
        raise CheckpointError(
            f'{path}: of version {checkpoint["version"]}, this code reads version {VERSION}: use the abawfw '
            f'that wrote it, or train again'
        )
    return checkpoint


def _check_whole(path: Path) -> None:
    """Compare the checksums in the file with its content, which torch does not do when it loads."""
    try:
        if not zipfile.is_zipfile(path):
            return  # truncated, or not in torch's format of today: loading it tells
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except Exception as error:  # a flipped bit in a header makes zipfile fail in many ways
        raise DamagedCheckpointError(f'{path}: damaged ({type(error).__name__}: {error})') from error
    if bad is not None:
        raise DamagedCheckpointError(f'{path}: damaged, the checksum of its part {bad} does not fit')


def resumable_name(epoch: int, batch: int) -> str:
    """File name of the training state after this many epochs and batches of the next one."""
    return f'epoch_{epoch}_batch_{batch}.pth' if batch else f'epoch_{epoch}.pth'


def resumable_checkpoints(work_dir: Path) -> list[Path]:
    """Checkpoints of a run that hold a whole training state, most advanced first.

    Found by name rather than through a pointer file, so a moved or renamed work_dir still resumes.
    """
    found = [p for p in work_dir.glob('epoch_*.pth') if _RESUMABLE.match(p.name)]
    return sorted(found, key=position, reverse=True)


def position(path: Path) -> tuple[int, int]:
    """Epoch and batch that the name of a training state tells."""
    match = _RESUMABLE.match(path.name)
    assert match is not None
    return int(match[1]), int(match[2] or 0)


def best_checkpoint(work_dir: Path, key: str) -> Path:
    """The checkpoint with a run's best validation score of one key, such as 'ccc_valence'.

    Raises:
        CheckpointError: there is none.
    """
    found = {int(m[2]): p for p in work_dir.glob('best_*.pth') if (m := _BEST.match(p.name)) and m[1] == key}
    if not found:
        raise CheckpointError(f'{work_dir}: no best_{key}_epoch_*.pth; train the run first (tools/train.py)')
    # a run killed between saving a better one and removing the last has two: the later is the better
    return found[max(found)]


def explain_mismatch(model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]) -> str | None:
    """What parts of a model can say about weights that do not fit them; None if nothing.

    A part explains with ``explain_mismatch(weights)``, where ``weights`` are those below it by the names they
    have there. It returns a sentence without the name of the file, or None.
    """
    for name, module in model.named_modules():
        if hasattr(module, 'explain_mismatch'):
            start = f'{name}.' if name else ''
            below = {k.removeprefix(start): v for k, v in state_dict.items() if k.startswith(start)}
            reason: str | None = module.explain_mismatch(below)
            if reason is not None:
                return reason
    return None


def load_state_dict(model: torch.nn.Module, state_dict: dict[str, torch.Tensor], path: Path) -> None:
    """Load weights into a model of the same architecture.

    Raises:
        CheckpointError: keys or shapes differ; the message lists them, or tells why where a part knows it.
    """
    reason = explain_mismatch(model, state_dict)
    if reason is not None:
        raise CheckpointError(f'{path}: {reason}')
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
