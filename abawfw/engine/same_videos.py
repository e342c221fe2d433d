"""A resumed run goes on with the videos it was begun with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from abawfw.engine.training_state import changed_settings, run_videos
from abawfw.errors import CheckpointError

if TYPE_CHECKING:
    from mmengine.runner import Runner

LISTED = 3
"""Videos of a partition that the error names one by one."""


def refuse_other_videos(runner: Runner, checkpoint: dict[str, Any], path: Path) -> None:
    """Compare the videos a runner has with those of the run that wrote a training state.

    Scores of different videos cannot be compared, so the best epoch and early stopping would mean nothing,
    and a video of one fold's training may be another's validation.

    Args:
        runner: what is about to go on.
        checkpoint: content of the training state.
        path: its file, for the error.

    Raises:
        CheckpointError: the videos to train on or to validate on differ, or the state does not tell them.
    """
    if 'ranks' not in checkpoint:
        return  # weights alone, which restoring refuses
    if 'videos' not in checkpoint:
        raise CheckpointError(
            f'{path}: does not say which videos it was trained and validated on, so this run may not go on '
            'from it; train again'
        )
    differing = []
    for partition, here in run_videos(runner).items():
        then = checkpoint['videos'][partition]
        left, added = [v for v in then if v not in set(here)], [v for v in here if v not in set(then)]
        if left or added:
            differing += [
                f'{len(videos)} {what} of {partition} ({_few(videos)})'
                for what, videos in (('no longer', left), ('newly', added))
                if videos
            ]
    if differing:
        changed = changed_settings(checkpoint['meta']['config'], runner.cfg.pretty_text)
        hint = f' ({", ".join(changed)} changed)' if changed else ''
        raise CheckpointError(
            f'{path}: the run had other videos than it has now{hint}: {", ".join(differing)}. '
            'Scores of different videos cannot be compared: begin a run of its own with another --work-dir '
            'and without --resume, or put back the value that chose the videos'
        )


def _few(videos: list[str]) -> str:
    return ', '.join(videos[:LISTED]) + (' ...' if len(videos) > LISTED else '')
