"""Per-frame features of CEAP-360VR: luminance, head movement, fixations (docs/your_data.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import TARGETS
from abawfw.datasets.stores import open_store
from abawfw.evaluation.functional import Moments, moments

HEAD_PERIOD = 0.2  # seconds per window of the head scan path


def luminance_features(luminance: NDArray[np.float64], fps: float) -> NDArray[np.float32]:
    """(frames, 2): luminance of the stimulus and its change per second."""
    return np.stack([luminance, np.gradient(luminance) * fps], axis=1).astype(np.float32)


def head_features(scan_path: NDArray[np.float64], num_frames: int, fps: float) -> NDArray[np.float32]:
    """(frames, 8) head movement.

    Args:
        scan_path: (windows, 3) ID, counted from 1, pitch and yaw in degrees; window ID is centred at
            (ID - 0.5) * 0.2 s.
        num_frames: Frames of the sequence; frame i is at i / fps.
        fps: Frames per second.

    Returns:
        pitch / 90, sin and cos of yaw, change of pitch and of yaw (degrees/s), angular speed (degrees/s),
        standard deviation of pitch and of unwrapped yaw over the last 5 s.
    """
    times = np.arange(num_frames) / fps
    centres = (scan_path[:, 0] - 0.5) * HEAD_PERIOD
    pitch = np.interp(times, centres, scan_path[:, 1])
    yaw = np.interp(times, centres, np.unwrap(scan_path[:, 2], period=360))
    pitch_change, yaw_change = np.gradient(pitch) * fps, np.gradient(yaw) * fps
    speed = np.hypot(pitch_change, yaw_change * np.cos(np.radians(pitch)))
    window = int(5 * fps)
    columns = (
        pitch / 90,
        np.sin(np.radians(yaw)),
        np.cos(np.radians(yaw)),
        pitch_change,
        yaw_change,
        speed,
        running_std(pitch, window),
        running_std(yaw, window),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def gaze_features(
    fixations: NDArray[np.float64], num_frames: int, fps: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fixations as (frames, 7) features and (frames,) valid.

    Args:
        fixations: (fixations, 4) first frame, last frame (inclusive), pitch and yaw in degrees.
        num_frames: Frames of the sequence.
        fps: Frames per second.

    Returns:
        In fixation (0/1); pitch / 90, sin and cos of yaw of the current or last fixation (0, 0, 1 before the
        first); seconds since its start while in it; fraction of the last 2 s in fixation; fixations begun per
        second over the last 5 s. Valid where one of the frames of the last second is in a fixation.
    """
    inside, pitch, yaw, seconds, onset = np.zeros((5, num_frames))
    for start, end, fixation_pitch, fixation_yaw in fixations[np.argsort(fixations[:, 0], kind='stable')]:
        first, stop = int(start), int(end) + 1
        inside[first:stop] = 1
        pitch[first:], yaw[first:] = fixation_pitch, fixation_yaw
        seconds[first:stop] = np.arange(stop - first) / fps
        onset[first] = 1
    columns = (
        inside,
        pitch / 90,
        np.sin(np.radians(yaw)),
        np.cos(np.radians(yaw)),
        seconds,
        running_mean(inside, int(2 * fps)),
        running_mean(onset, int(5 * fps)) * fps,
    )
    return np.stack(columns, axis=1).astype(np.float32), running_mean(inside, int(fps)) > 0


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean over the last ``window`` frames, the current one included; fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - window, 0)
    return (sums[stop] - sums[start]) / (stop - start)


def running_std(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Population standard deviation over the last ``window`` frames; fewer at the start."""
    padded = np.concatenate([np.full(window - 1, np.nan), values])
    # whole windows, not differences of running sums: those turn a still head into 1e-7 of rounding noise
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    return np.nanstd(windows, axis=1)


def stimulus_mean_ccc(root: Path) -> dict[str, float]:
    """CCC of the mean curve of each stimulus over the training participants (docs/your_data.md).

    Scores on this set mostly measure recognising the stimulus and its time course; this baseline knows the
    stimulus, which the models do not.

    Args:
        root: store written by the converter; ids are ``PARTICIPANT_STIMULUS``.

    Returns:
        CCC over all frames of val, by target.
    """
    store = open_store(root)
    curves: dict[str, list[np.ndarray]] = {}
    for video in store.videos():
        if video.partition == 'train':
            stimulus = video.video_id.split('_')[1]
            curves.setdefault(stimulus, []).append(store.labels(video.video_id, 0, video.num_frames))
    means = {s: np.mean(labels, axis=0) for s, labels in curves.items()}
    measured = [v for v in store.videos() if v.partition == 'val' and v.has_labels]
    scores = {}
    for column, target in enumerate(TARGETS):
        parts = []
        for video in measured:
            labels = store.labels(video.video_id, 0, video.num_frames)[:, column]
            parts.append(moments(labels, means[video.video_id.split('_')[1]][:, column]))
        scores[target] = Moments.pool(parts).ccc
    return scores
