"""Frames per second: those of training videos, and a store whose videos are brought to them.

A model knows time as a number of frames, so that a video of another rate goes by at another speed. The times
of its frames decide; a rate is never taken for granted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import FeatureInfo, VideoInfo

SAME = 0.01
"""Rates that differ by less are one: 29.97 and 30, 23.976 and 24; 24 and 25 are two."""
EVEN = 0.1
"""By which the rate of a second may leave that of training: three frames in 30 that were dropped."""
MOST = 100
"""Frames that are made of one: a clock that jumps by a day is no video to be filled."""


class Resampling(NamedTuple):
    """What is done with a video.

    Attributes:
        grid: (frames,) seconds of frames as the run knows them; None where the video's own frames are taken.
        note: what is worth saying of it, if anything.
    """

    grid: NDArray[np.float64] | None = None
    note: str | None = None


def rates_of(times: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Frames per second of every stretch of about a second, from each frame on; empty where unknown."""
    if times is None or len(times) < 2 or not np.isfinite(times).all():
        return np.empty(0)
    steps = np.diff(times)
    if not (steps > 0).any():
        return np.empty(0)
    count = min(max(1, round(1 / float(np.median(steps[steps > 0])))), len(steps))
    spans = times[count:] - times[:-count]
    return count / spans[spans > 0]


def trained_rates(store: FeatureStore, videos: Iterable[VideoInfo]) -> list[float] | None:
    """The lowest and the highest rate of videos, of each the median over time; None where none is known."""
    found = [rates_of(store.times(video.video_id)) for video in videos]
    rates = [float(f'{np.median(rates):.6g}') for rates in found if len(rates)]
    return [min(rates), max(rates)] if rates else None


def rates_text(trained: Iterable[float]) -> str:
    """Rates of training for people: '25', or '24 to 30' frames per second."""
    texts = dict.fromkeys(f'{rate:.5g}' for rate in trained)
    return f'{" to ".join(texts)} frames per second'


def resampling(times: NDArray[np.float64] | None, trained: Iterable[float] | None) -> Resampling:
    """How a video comes to the rate of training: not at all if it is within `SAME` of its range.

    Otherwise it goes to the nearest end of the range. One within it whose frames are not evenly spaced, which
    leaves the range by more than `EVEN` for a second, goes to its own median rate.

    Args:
        times: (frames,) seconds of its frames, in order; None where they are unknown.
        trained: lowest and highest rate of the training videos; None where they are unknown.
    """
    rates = rates_of(times)
    if times is None or trained is None or not len(rates):
        return Resampling()
    low, high = trained
    rate = float(np.median(rates))
    goal = min(max(rate, low), high)
    even = rates.min() >= low * (1 - EVEN) and rates.max() <= high * (1 + EVEN)
    if abs(rate / goal - 1) <= SAME and even:
        return Resampling()
    count = int((times[-1] - times[0]) * goal + 1e-6) + 1
    what = f'{rate:.5g} frames per second' + ('' if even or abs(rate / goal - 1) > SAME else ', not evenly')
    if count > MOST * len(times):
        return Resampling(
            None,
            f'{what}, in {times[-1] - times[0]:.0f} s only {len(times)} frames: computed as they are, '
            f'trained at {rates_text(trained)}',
        )
    return Resampling(
        times[0] + np.arange(count) / goal,
        f'{what}, trained at {rates_text(trained)}: features were resampled to {goal:.5g}, {count} frames, '
        f'and the curve back to the {len(times)} frames of the video',
    )


class ResampledStore(FeatureStore):
    """A store some of whose videos have frames at other times.

    Between two frames lie vectors, and all that is float, linearly, where the feature was observed in both or
    in neither; otherwise, and for masks, images (uint8) and tokens, the nearest frame counts, the earlier of
    two as near. Nothing is averaged: a frame at a time is what extraction would have found there. Before the
    first frame and after the last nothing changes. Resampled videos have no labels.

    It is not registered: no folder holds it.

    Args:
        store: it.
        grids: (frames,) seconds of the frames of each video that is resampled, whose times are known.
        tokens: features whose vectors are repeated for all frames of a token, as a mean of two would be one
            more.
    """

    def __init__(
        self,
        store: FeatureStore,
        grids: Mapping[str, NDArray[np.float64]],
        tokens: Collection[str] = (),
    ) -> None:
        self.root = store.root
        self._store, self._grids, self._tokens = store, dict(grids), frozenset(tokens)
        self._places = {video: _places(_known(store, video), grid) for video, grid in grids.items()}
        self._videos = tuple(
            replace(v, num_frames=len(grids[v.video_id]), fps=None, has_labels=False)
            if v.video_id in grids
            else v
            for v in store.videos()
        )

    def videos(self) -> tuple[VideoInfo, ...]:
        """All videos of the store, with the frames they have here."""
        return self._videos

    def features(self) -> dict[str, FeatureInfo]:
        """Those of the store."""
        return self._store.features()

    def feature_names(self) -> list[str]:
        """Those of the store."""
        return self._store.feature_names()

    def times(self, video_id: str) -> NDArray[np.float64] | None:
        """Seconds of the frames here."""
        return self._grids[video_id] if video_id in self._grids else self._store.times(video_id)

    def has_mask(self, video_id: str, feature: str) -> bool:
        """As the store says."""
        return self._store.has_mask(video_id, feature)

    def knows_observed(self, video_id: str, feature: str) -> bool:
        """As the store says."""
        return self._store.knows_observed(video_id, feature)

    def resamples(self, video_id: str) -> bool:
        """Whether the frames of a video are others here."""
        return video_id in self._grids

    def nearest(self, video_id: str) -> NDArray[np.int64]:
        """The frame of the store that is nearest to each frame here, (frames,), of a resampled video."""
        left, weight = self._places[video_id]
        return left + (weight > 0.5)

    def back(self, video_id: str, curve: NDArray) -> NDArray:
        """A curve (frames,) of a resampled video at the times of the frames that the store has, linearly."""
        own = _known(self._store, video_id)
        return np.interp(own, self._grids[video_id], curve).astype(curve.dtype)

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        name = video.video_id
        if name not in self._places or start == stop:
            return self._store.read(name, feature, start, stop)
        left, weight = (part[start:stop] for part in self._places[name])
        first, last = int(left[0]), int(left[-1]) + 2
        values = self._store.read(name, feature, first, last)
        left = left - first
        found = values[left + (weight > 0.5)]
        if values.dtype.kind != 'f' or feature in self._tokens:
            return found
        seen = self._store.observed(name, feature, first, last)
        alike = np.flatnonzero((seen[left] == seen[left + 1]) & (weight > 0) & (weight < 1))
        left, part = left[alike], weight[alike].reshape(-1, *[1] * (values.ndim - 1))
        found[alike] = (1 - part) * values[left] + part * values[left + 1]
        return found

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        name = video.video_id
        if name not in self._places or start == stop:
            return self._store.observed(name, feature, start, stop)
        near = self.nearest(name)[start:stop]
        first = int(near[0])
        return self._store.observed(name, feature, first, int(near[-1]) + 1)[near - first]

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        return self._store.labels(video.video_id, start, stop)


def _known(store: FeatureStore, video: str) -> NDArray[np.float64]:
    times = store.times(video)
    assert times is not None
    return times


def _places(
    times: NDArray[np.float64], grid: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The frame before each place of the grid that has one after it, and how far between both it lies."""
    left = np.clip(np.searchsorted(times, grid, 'right') - 1, 0, len(times) - 2)
    span = times[left + 1] - times[left]
    weight = np.divide(grid - times[left], span, out=np.ones_like(grid), where=span > 0)
    return left, np.clip(weight, 0, 1)
