"""A view of the npy-per-trial layout that goes on past broken trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import PARTITIONS, VideoInfo
from abawfw.datasets.stores.problem import Problem
from abawfw.datasets.stores.survey import Survey
from abawfw.datasets.stores.trial_files import LABELS, TIMES, TrialFiles
from abawfw.datasets.stores.trial_index import Trial
from abawfw.datasets.stores.trial_pickles import read_scalar_statistics
from abawfw.datasets.stores.trial_recording import problems_of
from abawfw.errors import DataError


class TrialSurvey(Survey):
    """Lists every trial whose folder and labels can be read; the others become problems.

    Args:
        root: folder with trials.json or dataset_info.pkl.

    Raises:
        DataError: if there is no index, or it cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self._files = TrialFiles(root)
        self._problems: list[Problem] = []
        self._trials: list[Trial] = []
        self._videos: list[VideoInfo] = []
        for trial in self._files.index.trials:
            info = trial.info
            try:
                self._videos.append(self._files.video(trial))
                self._trials.append(trial)
            except DataError as error:
                self._problems.append(Problem('error', 'trial', str(error), info.partition, info.video_id))
        try:
            read_scalar_statistics(root)
        except DataError as error:
            self._problems.append(Problem('error', 'statistics', str(error), 'train'))
        self._find_missing()

    def problems(self) -> list[Problem]:
        """Trials that cannot be read, features that some of them lack, and unreadable statistics."""
        return self._problems

    def videos(self) -> list[VideoInfo]:
        """Every trial whose folder and labels can be read."""
        return self._videos

    def features(self) -> dict[str, list[str]]:
        """Every feature that a trial has, with the partitions in which all trials have it."""
        names = set(self._files.index.features or ()).union(*map(self._files.features, self._trials))
        return {name: self._complete(name) for name in sorted(names)}

    def labels(self, video: VideoInfo) -> np.ndarray:
        """Labels with -5 where there is none."""
        return self._files.array(self._trial(video), LABELS).read(0, video.num_frames)

    def shape(self, video: VideoInfo, feature: str) -> tuple[int, ...]:
        """Shape of the array of a feature."""
        trial = self._trial(video)
        self._files.info(trial, feature)
        return tuple(self._files.array(trial, feature).shape)

    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of the array of a feature."""
        return self._files.array(self._trial(video), feature).read(start, stop)

    def valid(self, video: VideoInfo, feature: str) -> np.ndarray | None:
        """The mask of a feature, or where its frames of bytes are not black."""
        return self._files.valid(self._trial(video), feature, 0, video.num_frames)

    def times(self, video: VideoInfo) -> np.ndarray | None:
        """Seconds of frame_times.npy, as exact as float32 is, or else by the frame rate."""
        trial = self._trial(video)
        if TIMES not in self._files.names(trial):
            return super().times(video)
        array = self._files.array(trial, TIMES)
        if array.shape != (video.num_frames,):
            raise DataError(f'{array.path}: shape {array.shape}, expected {(video.num_frames,)}')
        return array.read(0, video.num_frames).astype(np.float64)

    def recording(self, video: VideoInfo) -> list[Problem]:
        """Irregular times, and frames without a face, of a trial that was made from a video."""
        folder = self._trial(video).folder
        return problems_of(folder, video.num_frames, video.partition, video.video_id)

    def _trial(self, video: VideoInfo) -> Trial:
        return self._trials[self._videos.index(video)]

    def _complete(self, feature: str) -> list[str]:
        """Partitions of which every trial has the feature."""
        lacking = {t.info.partition for t in self._trials if feature not in self._files.features(t)}
        present = {t.info.partition for t in self._trials}
        return [p for p in PARTITIONS if p in present and p not in lacking]

    def _find_missing(self) -> None:
        for name in self.features():
            lacking = [trial for trial in self._trials if name not in self._files.features(trial)]
            if len(lacking) == len(self._trials):
                lacking = []  # said once for each partition
            for trial in lacking:
                text = f'{trial.folder / name}.npy: no such file; extract it, or leave the feature out'
                where = trial.info.partition, trial.info.video_id, name
                self._problems.append(Problem('warning', 'missing', text, *where))
