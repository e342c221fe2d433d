"""Intervals of a run, in intervals_TARGET.json beside its predictions, and what they were found with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import FrameIntervals
from abawfw.evaluation.postprocess import Pipeline
from abawfw.files import write_text
from abawfw.json_files import read_json
from abawfw.results.report_file import read_pipeline, recorded
from abawfw.results.side_files import number

AGAIN = 'write it again with: python tools/test.py RUN --intervals'
NUMBERS = ('alpha', 'reach', 'window', 'floor', 'width', 'covered', 'lowest')


class KeptIntervals(NamedTuple):
    """The intervals of a target, found on val.

    Attributes:
        found: how far they reach, and what they are worth.
        unit: what counts as one, as text: '12 groups (96 videos)'.
        postprocess: settings of what made the predictions that they belong to.
        checkpoint: name of the file that predicted these.
        digest: of its bytes.
        clips: settings of the rule that cut the videos for it, and the ``weights`` of frames of clips that
            overlap; without them all count alike.
    """

    found: FrameIntervals
    unit: str
    postprocess: list[dict[str, Any]]
    checkpoint: str
    digest: str
    clips: dict[str, Any]

    def belonging(self, digest: str, postprocess: Pipeline, clips: Mapping[str, Any]) -> KeptIntervals:
        """The same where predictions were made with that; none where they were not, with the reason.

        Args:
            digest: of the checkpoint that made them.
            postprocess: what they were post-processed with.
            clips: as the attribute.
        """
        if self.digest != digest:
            misfit = 'they were found for other weights'
        elif {'weights': 'uniform', **self.clips} != {'weights': 'uniform', **clips}:
            misfit = f'they were found with clips {_text(self.clips)}, not {_text(clips)}'
        elif self.postprocess != postprocess.settings():
            misfit = f'they were found after {Pipeline.build(self.postprocess)}, not after {postprocess}'
        else:
            return self
        return self._replace(found=self.found._replace(reach=None, obstacle=misfit))

    def settings(self) -> dict[str, Any]:
        """What others need to draw them, ready for JSON; a reach of None where there are none."""
        found = self.found
        spread = {'window': found.window, 'floor': found.floor}
        shown = {key: getattr(found, key) for key in ('width', 'covered', 'obstacle')}
        return {'alpha': found.alpha, 'reach': found.reach, 'spread': spread, 'units': self.unit, **shown}

    def __str__(self) -> str:
        found = self.found
        if found.reach is None:
            return f'none: {found.obstacle}'
        text = f'{found.level} of the frames of a new video on average, mean width {found.width:.2f} of 2'
        if found.covered is None or found.lowest is None:
            return f'{text}; found on {self.unit}, too few to be cross-validated'
        return (
            f'{text}; cross-validated over {self.unit}: {100 * found.covered:.1f} % on average, '
            f'{100 * found.lowest:.1f} % in the lowest'
        )


def write_intervals(folder: Path, target: str, kept: KeptIntervals) -> Path:
    """Write the intervals of a target.

    Args:
        folder: of the prediction files.
        target: which one.
        kept: the intervals, or why there are none.
    """
    path = folder / _file(target)
    made_with = {key: value for key, value in kept._asdict().items() if key != 'found'}
    write_text(path, json.dumps({**made_with, **kept.found._asdict()}, indent=1) + '\n')
    return path


def remove_intervals(folder: Path, target: str) -> list[str]:
    """Remove what an earlier test found.

    Returns:
        A line about it, if there was something.
    """
    path = folder / _file(target)
    if not path.is_file():
        return []
    path.unlink()
    return [f'{target}: the intervals of an earlier test were removed; --intervals finds those of this one']


def read_intervals(folder: Path, target: str) -> KeptIntervals | None:
    """The intervals that the last test left; None if it left none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / _file(target)
    if not path.is_file():
        return None
    content = read_json(path, AGAIN)
    try:
        Pipeline.build(content['postprocess'])
        texts = {key: content[key] for key in ('unit', 'checkpoint', 'digest')}
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError(f'{texts} where texts are expected')
        made_with = {key: content[key] for key in ('postprocess', 'clips')}
        return KeptIntervals(_found(content), **made_with, **texts)
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f'{path} is damaged ({error}); {AGAIN}') from error


def intervals_of(folder: Path, report: Mapping[str, Any], target: str) -> KeptIntervals | None:
    """The intervals of the predictions of val in a folder; none, with the reason, where they are of others.

    Args:
        folder: of the prediction files.
        report: content of its report.json.
        target: which one.

    Raises:
        DataError: a file is damaged.
    """
    kept, tested = read_intervals(folder, target), read_pipeline(folder, target)
    if kept is None:
        return None
    made = recorded(report, 'val', target)
    pipeline = Pipeline() if tested is None else tested.pipeline
    return kept.belonging('' if made is None else made['digest'], pipeline, kept.clips)


def _found(content: Mapping[str, Any]) -> FrameIntervals:
    values = {key: None if content[key] is None else number(content[key]) for key in NUMBERS}
    found = FrameIntervals(units=int(content['units']), obstacle=content['obstacle'], **values)  # type: ignore[arg-type]
    there = found.reach is not None and found.reach >= 0 and found.width is not None
    fine = [
        found.alpha is not None and 0 < found.alpha < 1,
        found.floor is not None and found.floor > 0,
        isinstance(content['window'], int) and content['window'] >= 0,
        isinstance(found.obstacle, str) if found.reach is None else there,
        (found.covered is None) == (found.lowest is None),
        found.units >= 0,
        found.width is None or 0 <= found.width <= 2,
        all(share is None or 0 <= share <= 1 for share in (found.covered, found.lowest)),
    ]
    if not all(fine):
        raise ValueError(f'intervals that cannot be: {found}')
    return found


def _text(clips: Mapping[str, Any]) -> str:
    return f'{clips["type"]}({", ".join(f"{k}={v}" for k, v in clips.items() if k != "type")})'


def _file(target: str) -> str:
    return f'intervals_{target}.json'
