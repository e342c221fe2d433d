"""The audio is that of the person whose mouth moves most while speech is heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.faces.track import FaceTrack, cut_out
from abawfw.extraction.packages import optional_package
from abawfw.extraction.speech.base import SpeechRule
from abawfw.extraction.speech.voice import VoiceNetwork, heard
from abawfw.extraction.video.recording import Recording
from abawfw.registry import SPEECH_RULES

MOUTH = (slice(80, 108), slice(34, 78))
"""Rows and columns of the mouth in an aligned face of 112x112, whose corners lie at (42, 92) and (71, 92)."""
REST = (slice(40, 78), slice(28, 84))
"""Of eyes and nose, which move in the same way when only the face as a whole, or its points, do."""
STEP = 0.04  # seconds between two images that are compared, at least
FLAT = 4.0  # standard deviation of the values of a region below which it counts as flat


@SPEECH_RULES.register_module()
class MouthMoves(SpeechRule):
    """Where several faces are seen, audio is that of one: whose mouth moves most, while speech is heard.

    A mouth's motion is the mean change of the pixels of its region in the aligned face over 40 ms, in
    standard deviations of these pixels, less the same of eyes and nose, averaged over a second. The corners
    of the mouth, which MTCNN gives, show it poorly: from frame to frame they move by 2.5 % of the distance of
    the eyes while a mouth opens and closes, and by 1.5 % while it is still.

    People who speak at once are one speaker, and what a person says who is not seen goes to a mouth that
    moves, if there is one. Measured in docs/your_data.md.

    Args:
        vad: silero-vad's ONNX file, which finds the speech; None: whatever is louder than the background
            counts, see `louder`.
        threshold: probability of speech from which it counts.
        pause: seconds from speech over which a pause in it still counts.
        motion: least motion of a mouth that speaks.
        window: seconds over which motion is averaged.
    """

    def __init__(
        self,
        vad: str | Path | None = None,
        threshold: Annotated[float, Ge(0), Le(1)] = 0.5,
        pause: Annotated[float, Ge(0), Le(60)] = 0.2,
        motion: Annotated[float, Ge(0), Le(10)] = 0.1,
        window: Annotated[float, Ge(0), Le(60)] = 1.0,
    ) -> None:
        self.vad, self.threshold, self.pause = vad, float(threshold), float(pause)
        self.motion, self.window = float(motion), float(window)
        if vad is None:
            self.notes = (
                'speech is what is louder than the background, music and noise included; silero-vad tells '
                'them apart: speech.vad=silero_vad.onnx',
            )

    @cached_property
    def _network(self) -> VoiceNetwork | None:
        return None if self.vad is None else VoiceNetwork(str(self.vad))

    def settings(self) -> dict[str, Any]:
        """Kind, values, and which file finds the speech."""
        file = 'energy' if self._network is None else self._network.sha256[:16]
        values = {name: getattr(self, name) for name in ('threshold', 'pause', 'motion', 'window')}
        return {'rule': 'MouthMoves', 'vad': file, **values}

    def check(self) -> None:
        """See `SpeechRule`."""
        if self._network is not None:
            self._network.check()

    def speakers(self, recording: Recording, audio: Audio, tracks: Sequence[FaceTrack]) -> NDArray[np.bool_]:
        """See `SpeechRule`."""
        times = tracks[0].times
        speech = heard(audio, times, self._network, self.threshold, self.pause)
        found = np.zeros((len(tracks), len(times)), np.bool_)
        if not speech.any():
            return found
        moved = smoothed(mouth_motion(recording, tracks), times, self.window)
        moved[np.isnan(moved)] = -1
        frames = np.flatnonzero(speech & (moved.max(0) >= self.motion))
        found[moved.argmax(0)[frames], frames] = True
        return found


def mouth_motion(recording: Recording, tracks: Sequence[FaceTrack]) -> NDArray[np.float64]:
    """Motion of each mouth into each frame, (persons, frames); NaN where it is unknown.

    Reads the video once; where a face was not observed 40 ms before, nothing is known.
    """
    cv2: Any = optional_package('cv2', 'features', 'looking at mouths')
    times = tracks[0].times
    apart = float(np.median(np.diff(times))) if len(times) > 1 else STEP
    back = max(1, round(STEP / apart)) if apart > 0 else 1
    found = np.full((len(tracks), len(times)), np.nan)
    before: deque[list[NDArray[np.float32] | None]] = deque(maxlen=back)
    seen = np.stack([track.observed for track in tracks])
    for frame in recording.frames():
        here: list[NDArray[np.float32] | None] = [None] * len(tracks)
        if seen[:, frame.index].sum() > 1:
            for k in np.flatnonzero(seen[:, frame.index]).tolist():
                face = cut_out(frame, tracks[k].points[frame.index])
                grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
                here[k] = now = cv2.GaussianBlur(grey, (5, 5), 0).astype(np.float32)
                last = before[0][k] if len(before) == back else None
                if last is not None:
                    found[k, frame.index] = max(_change(last, now, MOUTH) - _change(last, now, REST), 0)
        before.append(here)
    return found


def _change(before: NDArray[np.float32], now: NDArray[np.float32], region: tuple[slice, slice]) -> float:
    """Mean change of the pixels of a region, its mean aside, in their standard deviations."""
    old, new = before[region], now[region]
    return float(np.abs((new - new.mean()) - (old - old.mean())).mean() / max(float(new.std()), FLAT))


def smoothed(values: NDArray[np.float64], times: NDArray[np.float64], window: float) -> NDArray[np.float64]:
    """Mean over a window of seconds around each frame, of what is known; NaN where nothing is."""
    first = np.searchsorted(times, times - window / 2)
    last = np.searchsorted(times, times + window / 2, side='right')
    known = np.isfinite(values)
    sums, counts = (
        np.concatenate([np.zeros((len(values), 1)), np.cumsum(part, 1)], 1)
        for part in (np.where(known, values, 0), known)
    )
    count = counts[:, last] - counts[:, first]
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(np.where(known & (count > 0), (sums[:, last] - sums[:, first]) / count, np.nan))
