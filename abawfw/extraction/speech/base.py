"""What every rule does that says whose the audio of a video is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.faces.track import FaceTrack
from abawfw.extraction.video.recording import Recording

SPEECH = 'speech'
"""Name of the options of the rule, and of the settings of a store that say whose the audio is."""


class SpeechRule(ABC):
    """Says in which frames the audio is that of a person, where several faces are seen.

    Attributes:
        notes: what is to be known of how it runs here, a line each.
    """

    notes: tuple[str, ...] = ()

    def owners(self, recording: Recording, audio: Audio, tracks: Sequence[FaceTrack]) -> NDArray[np.bool_]:
        """In which frames the audio counts as observed for each person, (persons, frames).

        Where fewer than two faces are seen, that is everywhere.

        Args:
            recording: the video.
            audio: of it.
            tracks: everyone who is followed in it.
        """
        seen = np.stack([track.observed for track in tracks])
        several = seen.sum(0) > 1
        if not several.any():
            return np.ones_like(seen)
        return ~several | (self.speakers(recording, audio, tracks) & seen)

    @abstractmethod
    def speakers(self, recording: Recording, audio: Audio, tracks: Sequence[FaceTrack]) -> NDArray[np.bool_]:
        """In which frames each person speaks, (persons, frames)."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that decide what is observed; kept with the features."""

    @abstractmethod
    def check(self) -> None:
        """Say what is missing before hours of work.

        Raises:
            CheckpointError: a file that the rule needs is missing or another one.
            DataError: a package is missing.
        """


def notes_on(names: Sequence[str], heard: NDArray[np.bool_]) -> list[str]:
    """In how many frames audio is observed for whom, (persons, frames); nothing where it is everybody's."""
    if heard.all():
        return []
    listed = ', '.join(f'{name} {int(mine.sum())}' for name, mine in zip(names, heard, strict=True))
    return [f'several faces are seen: of {heard.shape[1]} frames, the audio is of {listed}']
