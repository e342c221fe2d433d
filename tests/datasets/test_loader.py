from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from memory_store import PIPELINE, MemoryStore
from torch.utils.data import DataLoader

from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.collate import SampleList
from abawfw.datasets.loader import build_dataloader
from abawfw.errors import ConfigError, DataError
from abawfw.registry import TRANSFORMS

LENGTHS = [9, 3, 14, 6, 1, 8, 20, 5]
SAMPLERS = {
    'lanes': {'type': 'LaneBatchSampler', 'lanes': 3, 'shuffle': True},
    'clips': {'type': 'ClipSampler', 'batch_size': 3, 'shuffle': True},
    'big': {'type': 'ClipSampler', 'batch_size': 100, 'shuffle': True},
}


class AddNoise:
    """Two draws, as two transforms would make them."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        for feature, values in results['inputs'].items():
            results['inputs'][feature] = values + results['rng']().normal(size=values.shape)
        return results


@pytest.fixture(autouse=True)
def noise() -> Iterator[None]:
    TRANSFORMS.register_module(module=AddNoise)
    yield
    TRANSFORMS.module_dict.pop('AddNoise')


def build(
    workers: int, sampler: str = 'lanes', seed: int = 0, store: MemoryStore | None = None
) -> DataLoader:
    cfg = {
        'dataset': {
            'type': 'ClipDataset',
            'store': store or MemoryStore(LENGTHS),
            'features': ['face', 'audio'],
            'partition': 'train',
            'clips': {'type': 'Segments', 'length': 4},
            'pipeline': [PIPELINE[0], {'type': 'AddNoise'}, PIPELINE[1]],
        },
        'sampler': SAMPLERS[sampler],
        'num_workers': workers,
    }
    return build_dataloader(cfg, seed=seed)


def fingerprint(batch: dict[str, Any]) -> list[Any]:
    """All that a batch holds, comparable."""
    parts: list[Any] = [(name, x.shape, x.numpy().tobytes()) for name, x in batch['inputs'].items()]
    for sample in batch['data_samples']:
        parts += [sample.metainfo, sample.gt_va.numpy().tobytes(), sample.valid.tolist()]
    return parts


def passes(loader: DataLoader, epochs: list[tuple[int, int]]) -> list[list[Any]]:
    found = []
    for epoch, start in epochs:
        loader.batch_sampler.set_epoch(epoch, start)
        found.append([fingerprint(batch) for batch in loader])
    return found


@pytest.mark.parametrize('sampler', ['lanes', 'clips'])
def test_workers_change_nothing_over_epochs_and_a_start_in_mid_epoch(sampler: str):
    epochs = [(0, 0), (1, 3), (2, 0), (1, 0)]
    alone, helped = passes(build(0, sampler), epochs), passes(build(2, sampler), epochs)
    assert alone == helped
    assert alone[1] == alone[3][3:]
    assert len({len(batches) for batches in alone[:1] + alone[2:]}) == 1
    assert alone[0] != alone[2] != alone[3]


@pytest.mark.parametrize('workers', [0, 2])
def test_a_pass_given_up_half_way_leaves_nothing_behind(workers: int):
    loader = build(workers)
    given_up = iter(loader)
    next(given_up)
    assert passes(loader, [(1, 0)]) == passes(build(0), [(1, 0)])


def test_noise_differs_between_epochs_clips_and_seeds_but_not_runs():
    def first(seed: int, epoch: int) -> torch.Tensor:
        loader = build(0, seed=seed)
        loader.batch_sampler.set_epoch(epoch)
        wanted = {
            s.start: x[: s.num_frames]
            for batch in loader
            for s, x in zip(batch['data_samples'], batch['inputs']['face'], strict=True)
            if s.video_id == 'v0'
        }
        return torch.cat([wanted[start] for start in sorted(wanted)])

    assert torch.equal(first(0, 0), first(0, 0))
    assert not torch.equal(first(0, 0), first(0, 1))
    assert not torch.equal(first(0, 0), first(1, 0))
    noise = first(0, 0) - torch.from_numpy(MemoryStore(LENGTHS).data['v0', 'face'])
    assert not torch.allclose(noise[:4], noise[4:8])


def test_transforms_of_a_clip_share_one_stream_of_random_numbers():
    loader, store = build(0), MemoryStore(LENGTHS)
    batch = next(iter(loader))
    video = batch['data_samples'][0].video_id
    face, audio = (batch['inputs'][f][0, :1].numpy() - store.data[video, f][:1] for f in ('face', 'audio'))
    # Restarted for the second feature, the stream would begin with the same numbers.
    assert not np.allclose(face[0, :2], audio[0])


@pytest.mark.parametrize('workers', [0, 2])
def test_global_random_numbers_are_left_alone(workers: int):
    loader = build(workers)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for _ in loader:
        pass
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_a_batch_has_the_documented_form():
    loader = build(0)
    assert isinstance(loader.dataset, ClipDataset)
    batch = next(iter(loader))
    assert {name: tuple(x.shape) for name, x in batch['inputs'].items()} == {
        'face': (3, 4, 3),
        'audio': (3, 4, 2),
    }
    assert [sample.lane for sample in batch['data_samples']] == [0, 1, 2]
    assert all(sample.starts_video for sample in batch['data_samples'])
    assert all(
        sample.gt_va.shape == (4, 2) and sample.valid.shape == (4,) for sample in batch['data_samples']
    )
    assert len(loader) == len(list(loader))


def test_many_clips_leave_a_worker_without_many_open_files():
    resource = pytest.importorskip('resource')
    loader = build(1, 'big', store=MemoryStore([400, *[1] * 400]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        batches = list(loader)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert max(len(batch['data_samples']) for batch in batches) == 400
    assert not any(isinstance(batch['data_samples'], SampleList) for batch in batches)


def test_ranks_share_the_clips():
    store = MemoryStore(LENGTHS)
    cfg = {
        'dataset': {
            'type': 'ClipDataset',
            'store': store,
            'features': ['face'],
            'partition': 'train',
            'clips': {'type': 'Segments', 'length': 4},
            'pipeline': PIPELINE,
        },
        'sampler': SAMPLERS['lanes'],
        'num_workers': 0,
    }
    loaders = [build_dataloader(cfg, seed=0, rank=rank, world_size=2) for rank in range(2)]
    assert len(loaders[0]) == len(loaders[1])
    frames = sum(s.num_frames for loader in loaders for batch in loader for s in batch['data_samples'])
    assert frames == sum(LENGTHS)


def test_an_error_in_a_worker_stays_a_data_error():
    store = MemoryStore(LENGTHS)
    store.data['v2', 'face'][7] = np.nan
    with pytest.raises(DataError, match=r"'face' of video 'v2'.*frame 7"):
        list(build(2, store=store))


def test_unknown_and_missing_keys_are_refused():
    with pytest.raises(ConfigError, match='unknown or missing: batch_size, num_workers'):
        build_dataloader({'dataset': {}, 'sampler': {}, 'batch_size': 4}, seed=0)
