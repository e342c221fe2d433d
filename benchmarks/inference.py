"""What inference costs beside the network's own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from abawfw.apis.build import build_loader
from abawfw.apis.check import check_config
from abawfw.apis.inferencer import VAInferencer
from abawfw.config.loading import resolve
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.devices import computing_on
from benchmarks.random_runs import random_run
from benchmarks.random_store import RandomStore, random_values
from benchmarks.timing import Spread, cpu_seconds, in_turn

FPS = 30
TRAINED = [400] * 5  # frames of the videos that statistics are taken from


def benchmark_inference(cfg: Config, rounds: int, frames: int = 100_000) -> dict[str, Any]:
    """Time ``VAInferencer.predict_arrays`` against the forward passes that it makes, on random data.

    The features have the sizes of those in the config's store; weights are random. All of a video goes
    through one call, and through the network alone as batches that lie ready in memory, in turn.

    Args:
        cfg: loaded config, references not resolved.
        rounds: how often, after one that is not timed.
        frames: of the video.

    Returns:
        ``frames``; CPU seconds of this process for ``inference`` and ``forward``; ``inference_over_forward``,
        taken within a round; and the largest difference of what both predict at the start of the video.
    """
    check_config(cfg)
    known = open_store(resolve(cfg).data_root).features()
    infos = {name: known[name] for name in resolve(cfg).features}
    rng = np.random.default_rng(0)
    arrays = {name: random_values(rng, info, frames) for name, info in infos.items()}
    with TemporaryDirectory(prefix='abawfw-benchmark-') as folder, computing_on('cpu'):
        store = RandomStore(Path(folder), infos, TRAINED)
        inferencer = VAInferencer(random_run(Path(folder) / 'run', cfg, store), 'cpu')
        network = _Forward(inferencer, arrays)
        found: dict[str, Any] = {}
        actions: dict[str, Callable[[], Any]] = {
            'inference': lambda: found.update(table=inferencer.predict_arrays(arrays, fps=FPS)),
            'forward': lambda: found.update(forward=network()),
        }
        timed = {name: partial(cpu_seconds, action) for name, action in actions.items()}
        in_turn(timed, 1)
        took = in_turn(timed, rounds)
    raw = found['table'][f'{inferencer.targets[0]}_raw'].to_numpy()
    difference = np.abs(raw[: network.alone] - found['forward'][: network.alone])
    return {
        'frames': frames,
        'inference_cpu_seconds': Spread.of(took['inference']),
        'forward_cpu_seconds': Spread.of(took['forward']),
        'inference_over_forward': Spread.of_ratios(took['inference'], took['forward']),
        'largest_difference': float(difference.max()),
    }


class _Forward:
    """The networks of a run over batches that lie ready; returns what the first gives for the first clip."""

    def __init__(self, inferencer: VAInferencer, arrays: dict[str, np.ndarray]) -> None:
        store = ArrayStore('video', arrays, None, np.arange(len(next(iter(arrays.values())))) / FPS)
        self._networks: list[tuple[Any, list[Any], int]] = []
        for group in inferencer.trained.networks:
            loader = build_loader(inferencer.cfg, 'val_dataloader', 'test', group[0].fitted, store)
            loader.batch_sampler.set_epoch(0)
            batches, clips = list(loader), loader.dataset.clips
            for network in group:
                model = network.model(loader.dataset.input_dims)
                self._networks.append((model, batches, model.targets.index(network.targets[0])))
        # frames that no other clip covers, whose predictions are those of the video
        self.alone = clips[1].start if len(clips) > 1 else clips[0].stop

    def __call__(self) -> np.ndarray:
        first: np.ndarray | None = None
        with torch.inference_mode():
            for model, batches, column in self._networks:
                model.reset_lanes()
                for batch in batches:
                    (predicted,) = model(batch['inputs'], batch['data_samples'], mode='predict')
                    if first is None:
                        first = predicted.predictions()[0][:, column].numpy().copy()
        assert first is not None
        return first
