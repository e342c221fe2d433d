"""One label of the ratings of several persons: what tools/fuse_raters.py does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.apis.rater_frames import FindFrames, VideoFrames
from abawfw.components import construct_named
from abawfw.conventions import FRAMES_APART, NO_LABEL, TARGETS
from abawfw.datasets.importers.affwild2_files import FOLDERS, HEADER
from abawfw.datasets.importers.rater_files import RaterFile, read_rater_files
from abawfw.errors import DataError, counted, few
from abawfw.evaluation.functional import Agreement, Delay, VideoRatings
from abawfw.evaluation.functional.rater_agreement import Measure
from abawfw.evaluation.functional.rater_delays import BOUND, check_bound
from abawfw.evaluation.raters import RaterFusion
from abawfw.evaluation.raters.assessment import Assessment, assess
from abawfw.files import FolderWriter
from abawfw.groups import known_groups
from abawfw.progress import Report, unseen
from abawfw.registry import RATER_FUSIONS
from abawfw.results.report_table import aligned, interval_text, number_text
from abawfw.text_files import csv_text
from abawfw.visualization.page import plotly_source

TABLE, PAGE = 'agreement.csv', 'raters.html'
TEST = 'Test_Set'
AFTER = 1.0
"""Seconds after its last frame that a video may have ratings: a player's clock runs on to the end."""
OVERLAP = 2
"""Frames that two passes may have in common: where one ends and the next begins."""


@dataclass(frozen=True)
class FusedReport:
    """What was done.

    Attributes:
        folder: of the labels, the table and the page.
        targets: what is known of the raters of each target.
        partitions: names of the videos by folder of the labels.
        warnings: what somebody should know before using the labels, a line each.
        notes: what of the files was not used, or decided here, a line each.
    """

    folder: Path
    targets: Sequence[Assessment]
    partitions: Mapping[str, Sequence[str]]
    warnings: Sequence[str]
    notes: Sequence[str]


def fuse_raters(
    annotations: str | Path,
    out: str | Path,
    find: FindFrames,
    fusion: str = 'RaterMean',
    max_delay: float = BOUND,
    progress: Report = unseen,
) -> FusedReport:
    """Measure how far raters agree, and write one label per frame.

    Written are ``Train_Set/VIDEO.txt`` and ``Validation_Set/VIDEO.txt`` in Aff-Wild2's layout, which importer
    and extraction take; ``agreement.csv``, a row per video, target and rater; and ``raters.html``, a page.

    Args:
        annotations: folder of ``VIDEO.RATER.PASS.csv`` files (docs/labels.md, Raters).
        out: folder to write, whole or not at all; it must not exist or be empty.
        find: the frames of a video: ``frames_of_videos``, ``frames_of_store`` or ``frames_at_rate``.
        fusion: name of the rule, a component of RATER_FUSIONS.
        max_delay: seconds, the largest delay of a rater that is looked for.
        progress: called before each part of the work.

    Raises:
        ConfigError: there is no such rule, or no delay of this size can be looked for.
        DataError: with everything that is wrong with the files, a line each, or plotly is not installed;
            nothing is written.
    """
    rule = build_fusion(fusion, max_delay)
    plotly_source()  # its page is drawn last
    with _FusedFolder(out) as folder:
        files = read_rater_files(Path(annotations))
        names = sorted({file.video for file in files})
        frames: dict[str, VideoFrames] = {}
        problems: list[str] = []
        for done, name in enumerate(names):
            progress('reading the times of frames', done, len(names))
            try:
                frames[name] = find(name)
            except DataError as error:
                first = next(file.path for file in files if file.video == name)
                problems.append(f'{first}: {error}')
        notes = [note for file in files for note in file.notes]
        videos = _on_frames(files, frames, problems, notes)
        if problems:
            raise DataError(
                '\n  '.join([f'{counted(len(problems), "problem")}, nothing written:', *problems])
            )
        groups = known_groups({name: of.group for name, of in frames.items()})
        found = []
        for done, (target, of) in enumerate(videos.items()):
            progress(f'measuring agreement in {target}', done, len(videos))
            found.append(assess(target, of, rule, max_delay, groups))
        partitions = _partitions(frames, notes)
        warnings = [line for assessment in found for line in assessment.warnings()]
        warnings += _half_labelled(found, frames)
        progress('writing', 0, 1)
        report = FusedReport(Path(out), found, partitions, warnings, notes)
        folder.write(report, frames, type(rule).__name__)
    return report


def build_fusion(name: str, max_delay: float) -> RaterFusion:
    """The rule of this name, which may look for delays up to so many seconds.

    Raises:
        ConfigError: there is none, or no delay of this size can be looked for.
    """
    check_bound(max_delay)
    place = f'--fusion {name}'
    rule: RaterFusion = construct_named(RATER_FUSIONS, name, {}, place, ': no such rule', bound=max_delay)
    return rule


def _on_frames(
    files: Sequence[RaterFile],
    frames: Mapping[str, VideoFrames],
    problems: list[str],
    notes: list[str],
) -> dict[str, dict[str, VideoRatings]]:
    """The ratings by target and video; what is wrong goes to problems, what is not used to notes."""
    found: dict[tuple[str, str], dict[str, tuple[RaterFile, NDArray[np.float64]]]] = {}
    for file in files:
        if file.video not in frames:
            continue
        times = frames[file.video].times
        if beyond := _beyond(file, times):
            problems.append(beyond)
            continue
        if file.times is None and (more := len(file.lines) - len(times)):
            what = (
                f'the last {more} omitted' if more > 0 else f'no rating of the last {counted(-more, "frame")}'
            )
            rows = f'{counted(len(file.lines), "row")} for {counted(len(times), "frame")}'
            notes.append(f'{file.path}: {rows}: {what}')
        for target, values in file.on_frames(times).items():
            if not np.isfinite(values).any():
                notes.append(f'{file.path}: no rating of {target} at any frame')
                continue
            raters = found.setdefault((target, file.video), {})
            if file.rater not in raters:
                raters[file.rater] = file, values
                continue
            other, before = raters[file.rater]
            both = np.isfinite(values) & np.isfinite(before)
            if both.sum() > OVERLAP:
                problems.append(_overlapping(file, other, target, times, np.flatnonzero(both)))
            raters[file.rater] = file, np.where(np.isfinite(before), before, values)
    videos: dict[str, dict[str, VideoRatings]] = {}
    for target in TARGETS:
        for (of, video), raters in found.items():
            if of == target:
                stacked = np.stack([values for _, values in raters.values()])
                ratings = VideoRatings(tuple(raters), stacked, frames[video].times)
                videos.setdefault(target, {})[video] = ratings
    if not videos and not problems:
        problems.append('no file has a rating')
    return videos


def _beyond(file: RaterFile, frames: NDArray[np.float64]) -> str | None:
    """Whether a file is of another, longer video, as text."""
    if file.times is None:
        rows = len(file.lines)
        if abs(rows - len(frames)) <= FRAMES_APART:
            return None
        return (
            f'{file.path}: line {file.lines[-1]}: {counted(rows, "row")} of frames, and {file.video} has '
            f'{len(frames):,}: a file of another video, or of another frame rate?'
        )
    after = file.times > frames[-1] + AFTER
    if not after.any():
        return None
    k = int(after.argmax())
    return (
        f'{file.path}: line {file.lines[k]}: rated at {file.times[k]:.2f} s, and {file.video} has its last '
        f'frame at {frames[-1]:.2f} s: a file of another video?'
    )


def _overlapping(
    file: RaterFile, other: RaterFile, target: str, times: NDArray[np.float64], both: NDArray[np.int64]
) -> str:
    first, last = times[both[0]], times[both[-1]]
    row = both[0] if file.times is None else np.searchsorted(file.times, first)
    line = file.lines[min(int(row), len(file.lines) - 1)]
    return (
        f'{file.path}: line {line}: {file.rater} has rated {target} from {first:.2f} to {last:.2f} s '
        f'in {other.path} too: remove from one of both what the other replaces, or call its rater '
        f'{file.rater}2'
    )


def _partitions(frames: Mapping[str, VideoFrames], notes: list[str]) -> dict[str, list[str]]:
    """Videos by folder: as the store has them, or the last fifth, groups kept whole, for validation."""
    folders = {**FOLDERS, 'test': TEST}
    if all(of.partition for of in frames.values()):
        by: dict[str, list[str]] = {}
        for name, of in frames.items():
            by.setdefault(folders[str(of.partition)], []).append(name)
        if TEST in by:
            notes.append(f'{TEST}: labels of videos that the store has for testing; the importer omits them')
        notes += [
            f'{folder}: missing, for no video that the store has there is rated; the importer needs one too'
            for folder in FOLDERS.values()
            if folder not in by
        ]
        return by
    units = known_groups({name: of.group for name, of in frames.items()}).units(frames)
    held = max(1, len(units) // 5) if len(units) > 1 else 0
    cut = len(units) - held
    train, val = ([name for unit in part for name in unit] for part in (units[:cut], units[cut:]))
    notes.append(
        f'{FOLDERS["val"]}: {", ".join(val)}, the last fifth of the videos; move files to choose others'
        if val
        else f'{FOLDERS["val"]}: missing, for there is one video or group; the importer needs one there too'
    )
    return {FOLDERS['train']: train, **({FOLDERS['val']: val} if val else {})}


def _half_labelled(targets: Sequence[Assessment], frames: Mapping[str, VideoFrames]) -> list[str]:
    """Frames that have a label of one target only, which stores and extraction take for none, a line each."""
    rule = f'A frame counts as one without any label where either is {NO_LABEL:g}'
    labels = {of.target: of.fused.labels for of in targets}
    if missing := [target for target in TARGETS if target not in labels]:
        return [
            f'{target}: rated by nobody. Its column is {NO_LABEL:g}. {rule}: rate it too before you train'
            for target in missing
        ]
    there = {
        target: {
            name: np.isfinite(of[name]) if name in of else np.zeros(len(video.times), np.bool_)
            for name, video in frames.items()
        }
        for target, of in labels.items()
    }
    lines = []
    for target, other in (TARGETS, TARGETS[::-1]):
        alone = {name: int((there[target][name] & ~there[other][name]).sum()) for name in frames}
        if some := {name: count for name, count in alone.items() if count}:
            each = few([f'{name} ({n:,} of {len(frames[name].times):,})' for name, n in some.items()])
            lines.append(
                f'{target} without {other} in {counted(sum(some.values()), "frame")} of '
                f'{counted(len(some), "video")}, {each}. {rule}: rate {other} there too before you train'
            )
    return lines


class _FusedFolder(FolderWriter):
    """The folder of the labels, with the table and the page."""

    def write(self, report: FusedReport, frames: Mapping[str, VideoFrames], rule: str) -> None:
        """Write everything."""
        from abawfw.visualization.rater_page import rater_page

        for folder, names in report.partitions.items():
            (self._folder / folder).mkdir()
            for name in names:
                columns = [self._label(report, target, name, len(frames[name].times)) for target in TARGETS]
                rows = [','.join(f'{value:.6g}' for value in row) for row in zip(*columns, strict=True)]
                text = '\n'.join([HEADER, *rows]) + '\n'
                (self._folder / folder / f'{frames[name].name or name}.txt').write_text(
                    text, encoding='utf-8'
                )
        table = [row for of in report.targets for row in _rows(of)]
        (self._folder / TABLE).write_text(csv_text(table), encoding='utf-8')
        title = f'Raters of {counted(len(frames), "video")}'
        page = rater_page(title, rule, report.targets, report.warnings, report.notes)
        page.write(self._folder / PAGE)

    @staticmethod
    def _label(report: FusedReport, target: str, name: str, count: int) -> NDArray[np.float64]:
        for of in report.targets:
            if of.target == target and name in of.fused.labels:
                values = of.fused.labels[name]
                return np.where(np.isfinite(values), values, NO_LABEL)
        return np.full(count, NO_LABEL)


def _rows(of: Assessment) -> Iterator[dict[str, Any]]:
    """The table: of all videos (no ``video``) and of each, a row per rater, and one of all raters."""
    yield from _rows_of(of, '', of.agreement, of.delays)
    for video, agreement in of.by_video.items():
        yield from _rows_of(of, video, agreement, {})


def _rows_of(
    of: Assessment, video: str, agreement: Agreement, delays: Mapping[str, Delay]
) -> Iterator[dict[str, Any]]:
    for rater, found in agreement.raters.items():
        delay = delays.get(rater)
        yield {
            **{'target': of.target, 'video': video, 'rater': rater},
            **{'videos': found.videos, 'frames': found.frames},
            **_measured('ccc', found.ccc),
            **_measured('pcc', found.pcc),
            'alpha_without': found.alpha_without,
            'delay': delay.seconds if delay else None,
            'delay_low': delay.low if delay else None,
            'delay_high': delay.high if delay else None,
            'delay_warning': delay.warning if delay else None,
            'weight': None if video else of.fused.weights.get(rater),
            **_measured('alpha', None),
            **_measured('icc', None),
        }
    for panel in agreement.panels:
        yield {
            **{'target': of.target, 'video': video, 'rater': ' '.join(panel.raters)},
            **{'videos': panel.videos, 'frames': panel.frames},
            **_measured('alpha', panel.alpha),
            **_measured('icc', panel.icc),
        }


def _measured(name: str, of: Measure | None) -> dict[str, float | None]:
    value, low, high = (of.value, *of.interval[:2]) if of else (None, None, None)
    return {name: value, f'{name}_low': low, f'{name}_high': high}


def raters_text(report: FusedReport) -> str:
    """What was found over all videos, as aligned text, with warnings and notes."""
    parts = []
    for of in report.targets:
        weights = of.fused.weights
        lines = [['rater', 'CCC', '95 % interval', 'PCC', '95 % interval', 'delay in s', '95 % interval']]
        lines[0] += ['weight'] if weights else []
        for rater, found in of.agreement.raters.items():
            delay = of.delays.get(rater)
            lines.append(
                [
                    *(rater, *_cells(found.ccc), *_cells(found.pcc)),
                    number_text(delay.seconds if delay else None, '+.2f'),
                    interval_text(delay.low, delay.high, '+.2f') if delay else 'none',
                    *([number_text(weights.get(rater), '.3f')] if weights else []),
                ]
            )
        parts.append(f'{of.target}, each rater with the mean of the others; intervals over {of.unit_text}')
        parts += aligned(lines, left=(0,)) if len(lines) > 1 else ['no two raters of one frame']
        parts += [f'weight: fraction that the rater counts for {of.fused.weighed}'] if weights else []
        for panel in of.agreement.panels:
            alpha, icc = ('{} ({})'.format(*_cells(measure)) for measure in (panel.alpha, panel.icc))
            of_whom = f'{counted(len(panel.raters), "rater")}, {counted(panel.videos, "video")}'
            parts.append(f'{of_whom}: alpha {alpha}, ICC(2,k) {icc}')
        parts += [f'no interval: {text}' for text in of.obstacles()]
        parts.append('')
    parts += [f'warning: {line}' for line in report.warnings]
    parts += [f'note: {line}' for line in report.notes]
    parts += [f'{folder}: {counted(len(names), "video")}' for folder, names in report.partitions.items()]
    return '\n'.join(parts)


def _cells(of: Measure) -> tuple[str, str]:
    return number_text(of.value, '.3f'), interval_text(*of.interval[:2], '.3f')
