"""A face detector and extractors that need no package, for videos whose pictures tell their index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from extraction.made_detectors import LabelledDetector
from made_videos import index_of
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors.base import AudioExtractor, FaceExtractor
from abawfw.extraction.faces.detectors.base import Face

POINTS = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)], np.float32)


class MadeDetector(LabelledDetector):
    """Faces at the given left edges, but not in the pictures (of `plain`) of these indices."""

    label = 'made'

    def __init__(self, edges: Sequence[int] = (10,), without: Sequence[int] = ()) -> None:
        self.edges, self.without = tuple(edges), frozenset(without)

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        if index_of(rgb) in self.without:
            return []
        return [self._face(x) for x in self.edges]

    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        if index_of(rgb) in self.without:
            return [None] * len(boxes)
        return [self._face(int(min(self.edges, key=lambda x: abs(x - box[0])))) for box in boxes]

    @staticmethod
    def _face(x: int) -> Face:
        box = np.array([x, 10, x + 40, 50], np.float32)
        return Face(box, POINTS * 0.35 + np.array([x, 10], np.float32), 0.9)


class Colour(FaceExtractor):
    """Mean colour of a face: tells the index of its picture."""

    name = 'colour'

    @property
    def dims(self) -> tuple[int, ...]:
        return (3,)

    def extract(self, faces: NDArray[np.uint8]) -> NDArray:
        return faces.mean(axis=(1, 2), dtype=np.float32)


class Broken(Colour):
    """Gives what its class says."""

    name = 'broken'

    def __init__(self, what: str) -> None:
        self.what = what

    def extract(self, faces: NDArray[np.uint8]) -> NDArray:
        rows = super().extract(faces)
        if self.what == 'nan':
            rows[-1] = np.nan
        return {'shape': rows[:, :2], 'type': rows.astype(np.float64)}.get(self.what, rows)


class Clock(AudioExtractor):
    """The time of each frame, and the loudness of the tenth of a second after it."""

    name = 'clock'

    @property
    def dims(self) -> tuple[int, ...]:
        return (2,)

    def settings(self) -> dict[str, Any]:
        return {'seconds': 0.1}

    def rows(self, sound: Audio, times: NDArray[np.float64]) -> Iterator[NDArray]:
        for start in range(0, len(times), 4):
            yield np.array([[t, self._loudness(sound, t)] for t in times[start : start + 4]])

    @staticmethod
    def _loudness(sound: Audio, time: float) -> float:
        start = round(time * 16000)
        return float(np.sqrt(np.mean(np.square(sound.read(start, start + 1600)))))
