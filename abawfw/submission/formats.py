"""The challenge's file formats (docs/challenge.md; one file per target: docs/rucaim3.md, Inference)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.files import Replacement, recover
from abawfw.submission.sample_file import HEADER, SampleFile

TARGETS = ('valence', 'arousal')
TargetPredictions: TypeAlias = Mapping[str, Mapping[str, np.ndarray]]  # target -> video -> (frames,)


@dataclass(frozen=True)
class Submission:
    """Files of a submission, not written yet.

    Attributes:
        files: text by path below the output folder.
        rows: lines with values, over all files.
        repairs: what was repeated or left out to fit the sample, one line per video.
    """

    files: dict[str, str]
    rows: int
    repairs: list[str] = field(default_factory=list)


def per_target(preds: TargetPredictions, sample: SampleFile | None, allow_repair: int) -> Submission:
    """``TARGET/VIDEO.txt``: header line = target, one value per line."""
    check_format('per-target', preds, sample)
    files = {}
    for target, videos in preds.items():
        for video, pred in videos.items():
            files[f'{target}/{_file(video)}'] = '\n'.join([target, *map(str, _clip(pred))]) + '\n'
    return Submission(files, sum(len(p) for videos in preds.values() for p in videos.values()))


def per_video(preds: TargetPredictions, sample: SampleFile | None, allow_repair: int) -> Submission:
    """``VIDEO.txt``: header ``valence,arousal``, both values per line (2022)."""
    check_format('per-video', preds, sample)
    both = _both(preds)
    files = {}
    for video, values in both.items():
        lines = [f'{v},{a}' for v, a in zip(_clip(values[0]), _clip(values[1]), strict=True)]
        files[_file(video)] = '\n'.join(['valence,arousal', *lines]) + '\n'
    return Submission(files, sum(values.shape[1] for values in both.values()))


def abaw(preds: TargetPredictions, sample: SampleFile | None, allow_repair: int) -> Submission:
    """``predictions.txt``: exactly the rows of the official sample, in its order (from 2023)."""
    check_format('abaw', preds, sample)
    assert sample is not None
    both = _both(preds)
    repairs = sample.fit({video: values.shape[1] for video, values in both.items()}, allow_repair)
    texts = {
        video: [f'{v},{a}' for v, a in zip(_clip(both[video][0]), _clip(both[video][1]), strict=True)]
        for video in dict.fromkeys(sample.videos)
    }
    lines = [HEADER]
    for row, video, frame in zip(sample.rows, sample.videos, sample.frames.tolist(), strict=True):
        values = texts[video]
        lines.append(f'{row},{values[min(frame, len(values) - 1)]}')
    return Submission({'predictions.txt': '\n'.join(lines) + '\n'}, len(sample.rows), repairs)


Format: TypeAlias = Callable[[TargetPredictions, SampleFile | None, int], Submission]
FORMATS: dict[str, Format] = {'per-target': per_target, 'per-video': per_video, 'abaw': abaw}


def check_format(name: str, targets: Collection[str], sample: SampleFile | None) -> None:
    """Refuse a format that these targets cannot fill, or whose rows are unknown.

    Raises:
        ConfigError: a target is missing, or the sample; or there is one that the format has no use for.
    """
    missing = [t for t in TARGETS if t not in targets]
    if name != 'per-target' and missing:
        raise ConfigError(
            f'the format {name} needs valence and arousal; {missing[0]} is not among the targets'
        )
    if name == 'abaw' and sample is None:
        raise ConfigError('the format abaw has the rows of the official sample: give it with --sample FILE')
    if name != 'abaw' and sample is not None:
        raise ConfigError(f'a sample fixes the rows of the format abaw; {name} has none')


def _clip(pred: np.ndarray) -> list[float]:
    return np.clip(np.asarray(pred, dtype=np.float64), -1.0, 1.0).tolist()


def _both(preds: TargetPredictions) -> dict[str, np.ndarray]:
    valence, arousal = preds['valence'], preds['arousal']
    different = [v for v in {**valence, **arousal} if len(valence.get(v, ())) != len(arousal.get(v, ()))]
    if different:
        lengths = [
            f'  {v}: {len(valence.get(v, ()))} and {len(arousal.get(v, ()))} frames' for v in different
        ]
        raise DataError(
            '\n'.join([f'valence and arousal differ in {counted(len(different), "video")}:', *lengths])
        )
    return {video: np.stack([valence[video], arousal[video]]) for video in valence}


def _file(video: str) -> str:
    if video in ('', '.', '..') or '/' in video or '\\' in video:
        raise DataError(f'video {video!r} cannot be the name of a file')
    return f'{video}.txt'


def check_output(out: Path | str, overwrite: bool = False) -> list[str]:
    """Refuse a path that exists, so that nothing is overwritten.

    Returns:
        What had to be put right after a call that was killed, a line each.

    Raises:
        ConfigError: ``out`` exists and ``overwrite`` is not set, or it holds anything but text files.
    """
    out = Path(out)
    notes = recover(out)
    if not out.exists() and not out.is_symlink():
        return notes
    restored = ''.join(f'; {note}' for note in notes)
    if not overwrite:
        raise ConfigError(
            f'{out} exists already; choose another name or replace it with --overwrite{restored}'
        )
    foreign = next((p for p in out.rglob('*') if not p.is_dir() and p.suffix != '.txt'), None)
    if out.is_symlink() or not out.is_dir() or foreign is not None:
        raise ConfigError(f'{out} is not a submission ({foreign or "no folder"}) and is not overwritten')
    return notes


def write_submission(out: Path | str, submission: Submission, overwrite: bool = False) -> None:
    """Write all files into a temporary folder beside ``out``, then rename it. Raises as ``check_output``."""
    out = Path(out)
    check_output(out, overwrite)
    with Replacement(out, folder=overwrite) as temporary:
        for name, text in submission.files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
