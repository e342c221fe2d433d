"""Checkpoint files: written whole or not at all, read without running code."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from abawfw.checkpoint_content import check_content
from abawfw.errors import AbawfwError, CheckpointError, TrainingError
from abawfw.files import Replacement
from abawfw.inert_pickle import RefusedPickleError
from abawfw.tensor_files import read_tensor_file

FORMAT, VERSION = 'abawfw-checkpoint', 2
_BEST = re.compile(r'^best_(.+)_epoch_(\d+)\.pth$')
_RESUMABLE = re.compile(r'^epoch_(\d+)(?:_batch_(\d+))?\.pth$')


class DamagedCheckpointError(CheckpointError):
    """The file is truncated, half-written or not as it was written; an earlier one may be whole."""


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of tensors and plain values.

    A reader sees the old file or the new one and never half of it.

    Raises:
        TrainingError: the disk is full or not writable, or the content is not what a checkpoint may hold,
            such as a state of a hook that could not be read back; what was there before is untouched.
    """
    try:
        check_content(checkpoint)
    except ValueError as error:
        raise TrainingError(f'cannot write {path}: {error}, and it could not be read back') from None
    content = io.BytesIO()  # torch writing to the file itself hides why a write failed
    torch.save({'format': FORMAT, 'version': VERSION, **checkpoint}, content)
    try:
        with Replacement(path) as temporary:
            temporary.write_bytes(content.getbuffer())
    except OSError as error:
        raise TrainingError(
            f'cannot write {path}: {error.strerror or error}. {after_full_disk(path.parent)}'
        ) from error


def after_full_disk(work_dir: Path) -> str:
    """What is left of a run that could not write, and how to go on."""
    if not resumable_checkpoints(work_dir):
        return 'No training state was saved before: free some space; the same command begins anew'
    return 'The checkpoints there are untouched: free some space, then continue with --resume'


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; only tensors and plain values are accepted, so no code in it can run.

    What it holds is what `abawfw.checkpoint_content` describes: who reads it need not look again.

    Raises:
        DamagedCheckpointError: the file is truncated, its checksums do not fit, or a key is missing or
            holds what it cannot.
        CheckpointError: the file is missing, carries code, or is not ours.
    """
    if not path.exists():
        raise CheckpointError(f'{path}: no such checkpoint')
    try:
        checkpoint = read_tensor_file(path)
    except AbawfwError:
        raise
    except (PermissionError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it is larger than the free memory'
        raise CheckpointError(f'{path}: cannot be read: {reason}') from None
    except RefusedPickleError as error:
        raise CheckpointError(
            f'{path}: refused, since it holds objects other than tensors and plain values ({error}) and '
            f'loading them could run code. Convert it with tools/convert_checkpoint.py, '
            f'or save its state dict alone'
        ) from None
    except Exception as error:  # a file can be damaged in many ways
        raise DamagedCheckpointError(
            f'{path}: damaged or half-written ({type(error).__name__}: {error})'
        ) from error
    if not isinstance(checkpoint, dict) or checkpoint.get('format') != FORMAT:
        raise CheckpointError(
            f'{path}: not a checkpoint of abawfw. Checkpoints of other systems are converted with '
            f'tools/convert_checkpoint.py'
        )
    version = checkpoint.get('version')
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f'{path}: of version {version if type(version) is int else "unknown"}, this code reads version '
            f'{VERSION}: use the abawfw that wrote it, or train again'
        )
    try:
        check_content(checkpoint)
    except ValueError as error:
        raise DamagedCheckpointError(
            f'{path}: {error}; it is not as training writes it: take another checkpoint'
        ) from None
    return checkpoint


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
    """Epoch and batch that the name of a training state says."""
    match = _RESUMABLE.match(path.name)
    assert match is not None
    return int(match[1]), int(match[2] or 0)


def check_position(path: Path, checkpoint: dict[str, Any]) -> None:
    """Compare the position that a training state says it was taken at with that in the name of its file.

    Raises:
        DamagedCheckpointError: they differ.
    """
    if 'ranks' not in checkpoint or not _RESUMABLE.match(path.name):
        return  # weights alone, or a file that was given another name
    meta = checkpoint['meta']
    if (meta['epoch'], meta['batch']) != position(path):
        raise DamagedCheckpointError(
            f'{path}: holds the state after epoch {meta["epoch"]}, batch {meta["batch"]}, and its name says '
            'another: give it its own name back, or take another checkpoint'
        )


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
        CheckpointError: keys, shapes or types differ; the message lists them, or says why where a part
            knows it. Or weights are not finite.
    """
    reason = explain_mismatch(model, state_dict)
    if reason is not None:
        raise CheckpointError(f'{path}: {reason}')
    own = model.state_dict()
    missing = [k for k in own if k not in state_dict]
    unexpected = [k for k in state_dict if k not in own]
    shared = {k: v for k, v in state_dict.items() if k in own}
    shapes = [
        f'{k}: {tuple(v.shape)} in the checkpoint, {tuple(own[k].shape)} in the model'
        for k, v in shared.items()
        if own[k].shape != v.shape
    ]
    types = [
        f'{k}: {v.dtype} in the checkpoint, {own[k].dtype} in the model'
        for k, v in shared.items()
        if own[k].is_floating_point() != v.is_floating_point()
    ]
    if missing or unexpected or shapes or types:
        parts = [
            f'{title} ({len(keys)}): ' + ', '.join(keys[:8]) + (' ...' if len(keys) > 8 else '')
            for title, keys in (
                ('missing', missing),
                ('unexpected', unexpected),
                ('of another shape', shapes),
                ('of another type', types),
            )
            if keys
        ]
        raise CheckpointError(
            f'{path}: belongs to another architecture or feature list than the config; keys '
            + '; '.join(parts)
            + '. Use the config beside the checkpoint'
        )
    refuse_not_finite(model, state_dict, path)
    model.load_state_dict(state_dict)


def refuse_not_finite(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse weights with which a model can predict nothing, where they are read and not when it predicts.

    Args:
        model: what they are for; its buffers may hold infinity, as masks of attention do.
        weights: by name.
        path: where they come from.

    Raises:
        CheckpointError: NaN in any of them, or infinity in a parameter; names the first.
    """
    parameters = {name for name, _ in model.named_parameters()}
    for name, tensor in weights.items():
        bad = ~tensor.isfinite() if name in parameters else tensor.isnan()
        if bad.any():
            raise CheckpointError(
                f'{path}: {name} is NaN or infinite in {int(bad.sum())} of {bad.numel()} values, so the '
                'model would predict nothing but NaN; take a checkpoint of an earlier epoch, or train again'
            )
