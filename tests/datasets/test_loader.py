from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from memory_store import PIPELINE, MemoryStore
from torch.utils.data import DataLoader

from abawfw.apis import cli
from abawfw.datasets.clip_dataset import ClipDataset
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
    record = vars(batch['data_samples'])
    parts += [x.numpy().tobytes() if isinstance(x, torch.Tensor) else repr(x) for x in record.values()]
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
            start: x[:n]
            for batch in loader
            for video, start, n, x in zip(
                batch['data_samples'].video_id,
                batch['data_samples'].start,
                batch['data_samples'].num_frames,
                batch['inputs']['face'],
                strict=True,
            )
            if video == 'v0'
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
    video = batch['data_samples'].video_id[0]
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
    record = batch['data_samples']
    assert record.lane == [0, 1, 2]
    assert record.starts_video == record.starts.tolist() == [True] * 3
    assert (record.gt_va.shape, record.valid.shape, record.observed.shape) == ((3, 4, 2), (3, 4), (3, 4, 2))
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
    frames = sum(sum(batch['data_samples'].num_frames) for loader in loaders for batch in loader)
    assert frames == sum(LENGTHS)


def test_an_error_in_a_worker_stays_a_data_error():
    store = MemoryStore(LENGTHS)
    store.data['v2', 'face'][7] = np.nan
    with pytest.raises(DataError, match=r"'face' of video 'v2'.*frame 7"):
        list(build(2, store=store))


def test_unknown_and_missing_keys_are_refused():
    with pytest.raises(ConfigError, match='unknown or missing: batch_size, num_workers'):
        build_dataloader({'dataset': {}, 'sampler': {}, 'batch_size': 4}, seed=0)


def shared_memory(monkeypatch: pytest.MonkeyPatch, mebibytes: float) -> None:
    """Let /dev/shm be as small as in a container."""
    real = os.statvfs

    def small(path: Any) -> Any:
        found = real(path)
        if str(path) != '/dev/shm':
            return found
        return SimpleNamespace(f_bavail=round(mebibytes * 2**20 / found.f_frsize), f_frsize=found.f_frsize)

    monkeypatch.setattr(os, 'statvfs', small)


def large(lengths: list[int], workers: int, sampler: dict[str, Any]) -> DataLoader:
    """Clips of up to 32 frames, 16 KiB of inputs each: half a mebibyte a clip."""
    cfg = {
        'dataset': {
            'type': 'ClipDataset',
            'store': MemoryStore(lengths, dims={'face': (4096,)}),
            'features': ['face'],
            'partition': 'train',
            'clips': {'type': 'Segments', 'length': 32},
            'pipeline': PIPELINE,
        },
        'sampler': {'shuffle': False, **sampler},
        'num_workers': workers,
        'loading': {'type': 'Stream'},
    }
    return build_dataloader(cfg, seed=0)


@pytest.mark.parametrize(
    ('sampler', 'clips'),
    [
        ({'type': 'ClipSampler', 'batch_size': 2}, 2),
        ({'type': 'LaneBatchSampler', 'lanes': 3}, 3),
        ({'type': 'LaneBatchSampler', 'lanes': 9}, 4),  # there are no more videos
    ],
)
def test_shared_memory_that_is_too_small_is_found_out_before_a_worker_fails(
    sampler: dict[str, Any], clips: int, monkeypatch: pytest.MonkeyPatch
):
    lengths = [64, 64, 32, 40]
    needed = clips * 0.5 * 5  # two workers, two batches in advance each, and one that is being used
    shared_memory(monkeypatch, needed)
    large(lengths, 2, sampler)
    shared_memory(monkeypatch, needed - 0.5)
    large(lengths, 0, sampler)
    with pytest.raises(ConfigError) as error:
        large(lengths, 2, sampler)
    (said,) = str(error.value).splitlines()
    free, each, total = (f'{x * 1.048576:.1f} MB' for x in (needed - 0.5, clips * 0.5, needed))
    assert said.startswith(
        f'/dev/shm, the memory that processes share, has {free} free, but 2 workers hold up to 5 batches of '
        f'{each} in it, {total}: '
    )
    for way_out in ('docker run --shm-size=', 'train_dataloader.num_workers=0 val_dataloader.num_workers=0'):
        assert way_out in said
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    with pytest.raises(ConfigError, match='hold up to 10 batches'):
        large(lengths, 2, sampler)


def last_words(loader: DataLoader, capfd: pytest.CaptureFixture[str]) -> str:
    """The one line that is printed when a pass over the data ends a command line."""
    loader.batch_sampler.set_epoch(0)
    with pytest.raises(SystemExit) as leaving:
        cli.run(lambda: len(list(loader)))
    assert leaving.value.code == 2
    (said,) = capfd.readouterr().err.splitlines()
    return said


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file, nor piece of shared memory, of more than 64 kB can be made."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures('small_files')
def test_a_batch_that_does_not_fit_ends_the_pass_instead_of_halting_it(capfd: pytest.CaptureFixture[str]):
    loader = large([64, 64], 1, {'type': 'ClipSampler', 'batch_size': 2})
    said = last_words(loader, capfd)
    assert said.startswith(
        'error: a worker process of the data loader cannot put a batch into shared memory ('
    )
    assert 'docker run --shm-size=' in said


class DiesOfABusError:
    """What the kernel does to a process that touches shared memory that is not there."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGBUS)
        return results


def test_a_worker_that_is_killed_is_one_message(capfd: pytest.CaptureFixture[str]):
    TRANSFORMS.register_module(module=DiesOfABusError)
    try:
        dataset = {
            'type': 'ClipDataset',
            'store': MemoryStore([4]),
            'features': ['face'],
            'partition': 'train',
            'clips': {'type': 'Segments', 'length': 4},
            'pipeline': [PIPELINE[0], {'type': 'DiesOfABusError'}, PIPELINE[1]],
        }
        with pytest.MonkeyPatch.context() as patch:
            # which would kill this process
            patch.setattr('abawfw.datasets.loading.stream.batch_bytes', lambda loader: 0)
            cfg = {'dataset': dataset, 'sampler': SAMPLERS['clips'], 'num_workers': 1}
            loader = build_dataloader({**cfg, 'loading': {'type': 'Stream'}}, seed=0)
    finally:
        TRANSFORMS.module_dict.pop('DiesOfABusError')
    said = last_words(loader, capfd)
    # torch notices it by the signal or by the silence, whichever comes first
    ends = r'(is killed by signal: Bus error|exited unexpectedly)'
    assert re.match(
        rf'error: a worker process of the data loader {ends}; most often memory is full \(/dev/shm has ', said
    )
    assert 'num_workers=0' in said


def test_other_errors_of_torch_stay_what_they_are():
    with pytest.raises(RuntimeError, match='size mismatch'):
        cli.run(lambda: (_ for _ in ()).throw(RuntimeError('size mismatch')))
