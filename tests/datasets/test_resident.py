"""Data that stay in memory: the batches of those that are read each time, and within the memory stated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from memory_store import PIPELINE, MemoryStore
from test_augmentation import PictureStore
from test_loader import AddNoise, passes

from abawfw.datasets.loader import BatchLoader, build_dataloader
from abawfw.datasets.loading import Auto, Resident, Stream
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS

LENGTHS = [21, 3, 14, 6, 1, 8, 33, 5]
WINDOWS = {'type': 'SlidingWindow', 'length': 6, 'hop': 4}
SHUFFLED = {'type': 'ClipSampler', 'batch_size': 3, 'shuffle': True}


def masked_store() -> PictureStore:
    """Pictures in bytes, float16 and float32, some frames not observed, some without label."""
    store = PictureStore(LENGTHS)
    rng = np.random.default_rng(0)
    for info in store.infos:
        store.data[info.video_id, 'audio'] = store.data[info.video_id, 'audio'].astype(np.float16)
        store.masks[info.video_id, 'video'] = rng.random(info.num_frames) < 0.7
        store.va[info.video_id][rng.random(info.num_frames) < 0.2] = np.nan
    return store


def build(
    loading: str | dict[str, Any] | None,
    store: MemoryStore | None = None,
    *transforms: dict[str, Any],
    clips: dict[str, Any] = WINDOWS,
    sampler: dict[str, Any] = SHUFFLED,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
) -> BatchLoader:
    store = store or masked_store()
    cfg: dict[str, Any] = {
        'dataset': {
            'type': 'ClipDataset',
            'store': store,
            'features': list(store.dims),
            'partition': 'train',
            'clips': clips,
            'pipeline': [{'type': 'LoadFeatures', 'masked': True}, *transforms, PIPELINE[1]],
        },
        'sampler': sampler,
        'num_workers': workers,
    }
    if loading is not None:
        cfg['loading'] = {'type': loading} if isinstance(loading, str) else loading
    return build_dataloader(cfg, seed=3, rank=rank, world_size=ranks)


LANES = {'type': 'LaneBatchSampler', 'lanes': 3, 'shuffle': True}
SEGMENTS = {'type': 'Segments', 'length': 5}
PADDED = {'type': 'PadTo', 'length': 8}
CASES: dict[str, tuple[tuple[dict[str, Any], ...], dict[str, Any]]] = {
    'plain': ((), {}),
    'lanes': ((), {'sampler': LANES, 'clips': SEGMENTS}),
    'padded': ((PADDED,), {}),
    'labels of each window': (({'type': 'ShiftLabels', 'frames': 2, 'within': 'window'}, PADDED), {}),
    'evaluation': ((), {'sampler': {'type': 'ClipSampler', 'batch_size': 3, 'shuffle': False}}),
    'evaluation in lanes': ((), {'sampler': {**LANES, 'shuffle': False}, 'clips': SEGMENTS}),
    'normalised': (({'type': 'Normalize', 'method': 'sequence', 'features': ['audio', 'bert']},), {}),
    'random': (
        (
            {'type': 'RandomCropFlip', 'features': ['video'], 'size': 4},
            {'type': 'Noise', 'std': 0.5, 'features': ['audio']},
            {'type': 'ModalityDropout', 'p': 0.4},
            PADDED,
        ),
        {},
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_the_same_batches_bit_for_bit(case: str) -> None:
    """In every epoch and from its middle on, on every rank, fillers included."""
    transforms, given = CASES[case]
    epochs = [(0, 0), (1, 2), (0, 1)]
    for ranks in (1, 3):
        for rank in range(ranks):
            ways = [
                build(loading, None, *transforms, rank=rank, ranks=ranks, **given)
                for loading in ('Stream', 'Resident')
            ]
            streamed, resident = (passes(way, epochs) for way in ways)
            assert streamed == resident
            assert len(streamed[0]) >= 2


def test_types_and_sharing_of_frames() -> None:
    loader = build('Resident', None, {'type': 'ShiftLabels', 'frames': 2, 'within': 'window'})
    list(loader)
    resident = loader.loading
    types = {name: x.dtype for (kind, name), x in resident.tables.items() if kind == 'inputs'}
    assert types == {'video': torch.uint8, 'audio': torch.float16, 'bert': torch.float32}
    rows = {name: len(x) for (_, name), x in resident.tables.items()}
    frames, in_clips = sum(LENGTHS), sum(c.stop - c.start for c in loader.dataset.clips)
    assert in_clips > frames
    # every frame once, and one of padding; labels that end with each window cannot be shared
    assert rows == {**dict.fromkeys(rows, frames + 1), 'gt_va': in_clips + 1}
    taken = sum(x.nbytes for x in resident.tables.values())
    assert taken <= sum(resident.bytes.values()) <= taken + 2000 * len(loader.dataset.clips)


def test_in_evaluation_a_rank_holds_its_own_clips() -> None:
    plain = {'type': 'ClipSampler', 'batch_size': 3, 'shuffle': False}
    loaders = [build('Resident', sampler=plain, clips=SEGMENTS, rank=rank, ranks=2) for rank in (0, 1)]
    for loader in loaders:
        list(loader)
    held = [len(loader.loading.tables['inputs', 'bert']) - 1 for loader in loaders]
    assert sum(held) == sum(LENGTHS)
    assert min(held) > 0


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Say how much memory there is free, in bytes."""
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    kept: list[BatchLoader] = []

    def of(count: int | None) -> None:
        monkeypatch.setattr('abawfw.datasets.loading.resident.free_memory', lambda device: count)

    yield of
    kept.clear()


def size_of(lengths: list[int]) -> int:
    """Bytes that a store of plain vectors takes when it is resident."""
    return sum(build('Resident', MemoryStore(lengths)).loading.bytes.values())


def chosen(loader: BatchLoader) -> type:
    assert isinstance(loader.loading, Auto)
    return type(loader.loading.chosen)


def test_auto_keeps_what_takes_a_quarter_and_streams_ten_times_as_much(free: Any) -> None:
    lengths = [400] * 4
    needed = size_of(lengths)
    free(4 * needed)
    small = build(None, MemoryStore(lengths))
    assert chosen(small) is Resident
    assert small.loading.fact == (
        f'resident in host memory, {needed / 1e6:.1f} MB; limit {needed / 1e6:.1f} MB, 25% of what is free'
    )
    del small
    free(4 * needed - 8)
    assert chosen(build(None, MemoryStore(lengths))) is Stream
    free(4 * needed)
    large = build(None, MemoryStore(lengths * 10))
    assert chosen(large) is Stream
    assert 'streamed, not resident: the data take' in large.loading.fact
    free(None)
    assert chosen(build(None, MemoryStore(lengths))) is Stream


def test_all_that_is_resident_keeps_within_the_fraction(free: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [400] * 4
    needed = size_of(lengths)
    free(6 * needed)
    first = build(None, MemoryStore(lengths))
    assert chosen(first) is Resident
    assert chosen(build(None, MemoryStore(lengths))) is Stream  # 1.5 times is allowed, and 1 is promised
    list(first)
    free(5 * needed)  # it is loaded by now, and no longer free
    assert chosen(build(None, MemoryStore(lengths))) is Stream
    free(7 * needed)
    assert chosen(build(None, MemoryStore(lengths))) is Resident
    del first
    free(6 * needed)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')  # processes of this run that share the memory
    assert chosen(build(None, MemoryStore(lengths))) is Stream


def test_what_does_not_fit_is_refused_where_it_is_asked_for(free: Any) -> None:
    needed = size_of([400])
    free(needed - 1)
    with pytest.raises(ConfigError, match=r"host memory.*set loading=dict\(type='Auto'\), or"):
        build('Resident', MemoryStore([400]))
    free(needed)
    assert isinstance(build('Resident', MemoryStore([400]), workers=2).loading, Resident)


def test_workers_are_not_needed_for_what_is_resident(free: Any) -> None:
    free(10**9)
    assert build(None, workers=2).loading.fact.endswith('25% of what is free; 2 workers not needed')
    free(0)
    loader = build(None, workers=2)
    assert loader.loading.fact.startswith('streamed by 2 workers, not resident: the data take')


class NoiseLater:
    """Draws for clips that do not begin a video."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        if results['clip'].position:
            results['inputs']['bert'] = results['inputs']['bert'] + results['rng']().normal()
        return results


class GoesOn:
    """Frames behind the last one of a clip that are no padding."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        results = TRANSFORMS.build({**PADDED})(results)
        results['inputs']['bert'][-1] = 1
        results['observed']['bert'][-1] = True
        return results


@pytest.mark.parametrize('transform', [AddNoise, NoiseLater, GoesOn])
def test_what_cannot_be_kept_is_streamed_and_the_run_says_why(
    transform: type, capsys: pytest.CaptureFixture[str]
) -> None:
    name = transform.__name__
    TRANSFORMS.register_module(module=transform)
    try:
        made = [
            build(loading, MemoryStore(LENGTHS, dims={'bert': (3,)}), {'type': name}, clips=clips)
            for clips in (SEGMENTS, WINDOWS)
            for loading in ('Stream', None)
        ]
        found = [passes(loader, [(0, 0), (1, 0)]) for loader in made]
        why = 'goes on behind its last frame' if transform is GoesOn else rf'{name} draws for each clip'
        with pytest.raises(ConfigError, match=why):
            list(build('Resident', MemoryStore(LENGTHS, dims={'bert': (3,)}), {'type': name}))
    finally:
        TRANSFORMS.module_dict.pop(name)
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert all(f'not resident: {name} draws' in m.loading.fact or transform is GoesOn for m in made[1::2])
    assert all(m.loading.fact.startswith('streamed, not resident: ') for m in made[1::2])


def test_a_missing_store_of_clips_says_so() -> None:
    with pytest.raises(ConfigError, match='list is no ClipDataset'):
        Resident([], None, 0)
