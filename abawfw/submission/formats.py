"""The official sample and file formats of a challenge (docs/challenge.md; docs/rucaim3.md, Inference)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from abawfw.conventions import FRAMES_APART, TARGETS
from abawfw.errors import ConfigError, DataError, counted
from abawfw.files import Replacement, recover
from abawfw.prediction_files import file_name
from abawfw.results.predictions import to_json
from abawfw.text_files import read_text

HEADER = 'image_location,valence,arousal'
SHOWN = 20  # problems listed by name
WRITTEN = (
    *('*.txt', *(f'{target}/*.txt' for target in TARGETS)),
    *(file_name('train', '*', kind) for kind in ('clipped', 'smoothed')),
)
"""Files of a folder that tools/ensemble.py writes, whatever the format."""
ROW = re.compile(r'([^,]+)/0*(\d{1,9})\.jpg')  # no more digits than a video has frames


class SampleFile:
    """Rows ``VIDEO/00001.jpg`` of an official sample (docs/challenge.md: submission from 2023).

    Attributes:
        rows: image locations in the order of the file.
        videos: video of each row.
        frames: 0-based frame of each row, (rows,).

    Raises:
        DataError: the file cannot be read, its header is another, or rows are malformed or repeated; all that
            is wrong is listed at once.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            lines = read_text(self.path).splitlines()
        except DataError as error:
            raise DataError(f'cannot read the sample {error}') from None
        problems = []
        header = lines[0].strip() if lines else ''
        if header != HEADER:
            problems.append(f'line 1: header {header!r}, expected {HEADER!r}')
        self.rows: list[str] = []
        self.videos: list[str] = []
        frames: list[int] = []
        seen: set[str] = set()
        for number, line in enumerate(lines[1:], 2):
            location = line.split(',', 1)[0].strip()
            match = ROW.fullmatch(location)
            if match is None or int(match[2]) < 1:
                problems.append(f'line {number}: {line[:80]!r}, expected VIDEO/00001.jpg')
                continue
            if location in seen:
                problems.append(f'line {number}: {location} occurs in the sample twice')
            seen.add(location)
            self.rows.append(location)
            self.videos.append(match[1])
            frames.append(int(match[2]) - 1)
        if not self.rows:
            problems.append('no row')
        if problems:
            raise DataError(f'the sample {path} is not usable:\n' + listed(problems))
        self.frames = np.array(frames, dtype=np.int64)

    def lengths(self) -> dict[str, int]:
        """Frames that each video needs, in the order of the sample."""
        needed: dict[str, int] = {}
        for video, frame in zip(self.videos, self.frames.tolist(), strict=True):
            needed[video] = max(needed.get(video, 0), frame + 1)
        return needed

    def fit(self, lengths: Mapping[str, int], allow_repair: int | None = None) -> list[str]:
        """Compare with the predicted number of frames of each video.

        Args:
            lengths: frames predicted, by video.
            allow_repair: difference in frames to accept; None for the usual 2.

        Returns:
            What is to be repaired, one line per video: the last value repeated, or predictions omitted.

        Raises:
            DataError: videos are missing, or differ by more frames than allowed; all are listed.
        """
        limit = FRAMES_APART if allow_repair is None else allow_repair
        problems, repairs = [], []
        for video, needed in self.lengths().items():
            if not lengths.get(video):
                problems.append(f'{video}: {counted(needed, "row")} in the sample, no predictions')
                continue
            difference = lengths[video] - needed
            text = f'{video}: {counted(needed, "row")} in the sample, {counted(lengths[video], "prediction")}'
            if abs(difference) > limit:
                problems.append(f'{text}; at most {limit} are repaired')
            elif difference < 0:
                repairs.append(f'{text}: the last value is repeated {-difference} x')
            elif difference > 0:
                repairs.append(f'{text}: the last {difference} are omitted')
        known = set(self.videos)
        repairs += [f'{video}: not in the sample, omitted' for video in lengths if video not in known]
        if problems:
            way_out = '\npredict what is missing, or accept larger differences with --allow-repair N'
            everything = '\n'.join(f'  {line}' for line in problems)  # all are needed to repair them
            raise DataError(f'predictions do not fit the sample {self.path}:\n{everything}{way_out}')
        return repairs


def listed(problems: list[str]) -> str:
    """Problems one per line, the first 20 of them."""
    more = [f'and {len(problems) - SHOWN} more'] if len(problems) > SHOWN else []
    return '\n'.join(f'  {line}' for line in [*problems[:SHOWN], *more])


TargetPredictions: TypeAlias = Mapping[str, Mapping[str, np.ndarray]]  # target -> video -> (frames,)


@dataclass(frozen=True)
class Submission:
    """Files of a submission, not written yet.

    Attributes:
        files: text by path below the output folder.
        rows: lines with values, over all files.
        repairs: what was repeated or omitted to fit the sample, one line per video.
    """

    files: dict[str, str]
    rows: int
    repairs: list[str] = field(default_factory=list)


def per_target(preds: TargetPredictions, sample: SampleFile | None, allow_repair: int | None) -> Submission:
    """``TARGET/VIDEO.txt``: header line = target, one value per line."""
    check_format('per-target', preds, sample, allow_repair)
    files = {}
    for target, videos in preds.items():
        for video, pred in videos.items():
            files[f'{target}/{_file(video)}'] = '\n'.join([target, *map(str, _clip(pred))]) + '\n'
    return Submission(files, sum(len(p) for videos in preds.values() for p in videos.values()))


def per_video(preds: TargetPredictions, sample: SampleFile | None, allow_repair: int | None) -> Submission:
    """``VIDEO.txt``: header ``valence,arousal``, both values per line (2022)."""
    check_format('per-video', preds, sample, allow_repair)
    both = _both(preds)
    files = {}
    for video, values in both.items():
        lines = [f'{v},{a}' for v, a in zip(_clip(values[0]), _clip(values[1]), strict=True)]
        files[_file(video)] = '\n'.join(['valence,arousal', *lines]) + '\n'
    return Submission(files, sum(values.shape[1] for values in both.values()))


def abaw(preds: TargetPredictions, sample: SampleFile | None, allow_repair: int | None) -> Submission:
    """``predictions.txt``: exactly the rows of the official sample, in its order (from 2023)."""
    check_format('abaw', preds, sample, allow_repair)
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


def of_teacher(preds: TargetPredictions, smoothed: bool) -> Submission:
    """Prediction files of train, as of a run, from which a student learns (``LoadPredictions``)."""
    kind = 'smoothed' if smoothed else 'clipped'
    clipped = {t: {v: np.clip(p, -1, 1) for v, p in videos.items()} for t, videos in preds.items()}
    files = {file_name('train', target, kind): to_json(videos) for target, videos in clipped.items()}
    return Submission(files, sum(len(p) for videos in preds.values() for p in videos.values()))


Format: TypeAlias = Callable[[TargetPredictions, SampleFile | None, int | None], Submission]
FORMATS: dict[str, Format] = {'per-target': per_target, 'per-video': per_video, 'abaw': abaw}


def check_format(
    name: str, targets: Collection[str], sample: SampleFile | None, allow_repair: int | None = None
) -> None:
    """Refuse a format that these targets cannot fill, or whose rows are unknown.

    Raises:
        ConfigError: a target is missing, or the sample; or a sample or repairs that the format does not use.
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
    if name != 'abaw' and allow_repair is not None:
        raise ConfigError(
            f'--allow-repair {allow_repair}: predictions are repaired to fit a sample, which the format abaw '
            f'has; {name} has none: omit it'
        )


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


def check_output(
    out: Path | str, overwrite: bool = False, ours: Sequence[str] = WRITTEN, what: str = 'submission'
) -> list[str]:
    """Refuse a path that exists, so that nothing is overwritten.

    Args:
        out: folder to write.
        overwrite: replace it if all its files are of ours.
        ours: patterns of these, relative to it.
        what: it is, for errors.

    Returns:
        What had to be put right after a call that was killed, a line each.

    Raises:
        ConfigError: ``out`` exists and ``overwrite`` is not set, or it holds anything else.
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
    files = [p.relative_to(out) for p in sorted(out.rglob('*')) if not p.is_dir()]
    # from the first part on: a pattern that is relative matches the last parts of any path
    foreign = next((p for p in files if not any(Path('/', p).match(f'/{pattern}') for pattern in ours)), None)
    if out.is_symlink() or not out.is_dir() or foreign is not None:
        raise ConfigError(
            f'{out} is not a {what} ({"no folder" if foreign is None else out / foreign}) and is not '
            'overwritten; move away what you keep'
        )
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
