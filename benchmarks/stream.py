"""How long a frame takes when a video is going on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abawfw.apis.stream import VAStream, frame_pipeline
from abawfw.apis.trained_run import load_run
from abawfw.datasets.stores.records import FeatureInfo
from benchmarks.random_store import random_values
from benchmarks.timing import Spread, in_turn, seconds

FRAMES = 300
CHUNKS = (1, 10)  # frames at a time
FPS = 30


def benchmark_stream(run: Path, rounds: int) -> dict[str, Any]:
    """Feed a run frame by frame, and ten frames at a time.

    Args:
        run: work_dir of a run.
        rounds: how often.

    Returns:
        ``frames``; ``largest_difference`` from the whole video as one clip; ``offline_ms_per_frame``; per
        number of frames at a time ``ms``, from handing them over to having their predictions, the median over
        the video, ``slowest_ms``, and ``times_real_time``, frames per second over 30.

    Raises:
        ConfigError: the run cannot be fed frame by frame; says why.
    """
    stream = VAStream(run)
    rng = np.random.default_rng(0)
    video = {name: _frames(rng, dims) for name, dims in stream.input_dims.items()}
    parts: dict[int, list[dict[str, np.ndarray]]] = {
        size: [{f: x[i : i + size] for f, x in video.items()} for i in range(0, FRAMES, size)]
        for size in CHUNKS
    }

    def push_all(size: int) -> tuple[list[float], np.ndarray]:
        stream.reset()
        took, found = [], []
        for part in parts[size]:
            started = time.perf_counter()
            found.append(stream.push(part))
            took.append(time.perf_counter() - started)
        return took, np.concatenate(found)

    loaded = load_run(run)
    everywhere = {name: np.ones(FRAMES, dtype=bool) for name in video}

    @torch.inference_mode()
    def whole() -> np.ndarray:
        inputs, _ = frame_pipeline(loaded, tuple(video))(video, everywhere)
        found = [n.model(inputs).va[0][:, n.columns] for n in loaded.networks]
        return torch.cat(found, dim=1).numpy()

    expected = whole()
    actions: dict[str, Any] = {str(size): lambda size=size: push_all(size) for size in CHUNKS}
    results = in_turn({**actions, 'offline': lambda: seconds(whole)}, rounds)
    figures: dict[str, Any] = {
        'frames': FRAMES,
        'largest_difference': max(
            float(np.abs(found - expected).max()) for size in CHUNKS for _, found in results[str(size)]
        ),
        'offline_ms_per_frame': Spread.of([1e3 * s / FRAMES for s in results['offline']]),
    }
    for size in CHUNKS:
        took = [times for times, _ in results[str(size)]]
        figures[f'{size}_at_a_time'] = {
            'ms': Spread.of([1e3 * float(np.median(times)) for times in took]),
            'slowest_ms': Spread.of([1e3 * max(times) for times in took]),
            'times_real_time': Spread.of([FRAMES / FPS / sum(times) for times in took]),
        }
    return figures


def _frames(rng: np.random.Generator, dims: int | tuple[int, ...]) -> np.ndarray:
    """Random frames, images as bytes."""
    shape = (dims,) if isinstance(dims, int) else dims
    return random_values(rng, FeatureInfo(shape, 'uint8' if len(shape) == 3 else 'float32'), FRAMES)
