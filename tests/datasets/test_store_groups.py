"""Groups in every kind of store, in folds, and in what check_data says."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from memory_store import MemoryStore
from small_rucaim3 import write_rucaim3
from small_trials import write_trials

from abawfw.datasets.checking.check import check_store
from abawfw.datasets.checking.facts import read_facts
from abawfw.datasets.splits import BalancedKFold
from abawfw.datasets.splits.build import build_split
from abawfw.datasets.stores import PackedStore, RUCAIM3Store, TrialStore, open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.records import VideoInfo
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import DataError

TABLE = 'video,group\na,anna\nb,anna\nc,carl\n'
EXPECTED = {'a': 'anna', 'b': 'anna', 'c': 'carl', 'd': None}


def groups(store: FeatureStore) -> dict[str, str | None]:
    return {video.video_id: video.group for video in store.videos()}


def rucaim3(tmp_path: Path) -> Path:
    return write_rucaim3(tmp_path / 'rucaim3', {'train': {'b': 5, 'a': 7}, 'val': {'c': 4}, 'test': {'d': 6}})


def trials(tmp_path: Path) -> Path:
    return write_trials(tmp_path / 'trials')


def packed(tmp_path: Path) -> Path:
    return pack_store(RUCAIM3Store(rucaim3(tmp_path)), tmp_path / 'packed').root


@pytest.mark.parametrize('make', [rucaim3, trials, packed])
def test_a_table_in_the_root_of_any_store(tmp_path: Path, make) -> None:
    root = make(tmp_path)
    assert set(groups(open_store(root)).values()) == {None}
    (root / 'groups.csv').write_text(TABLE)
    store = open_store(root)
    assert groups(store) == EXPECTED
    assert store.video('a').group == 'anna'
    (root / 'groups.csv').write_text(TABLE.replace('c,carl\n', ''))
    with pytest.raises(DataError, match=r'groups\.csv: .*\n  no group of c$'):
        open_store(root)
    (root / 'groups.csv').write_text(TABLE + 'e,x\n')
    with pytest.raises(DataError, match="line 5: no video 'e'"):
        open_store(root)


def test_packing_keeps_groups(tmp_path: Path) -> None:
    root = rucaim3(tmp_path)
    (root / 'groups.csv').write_text(TABLE)
    copy = pack_store(RUCAIM3Store(root), tmp_path / 'copy')
    assert groups(copy) == EXPECTED
    assert groups(pack_store(copy, tmp_path / 'copy_of_copy')) == EXPECTED
    (copy.root / 'groups.csv').write_text(TABLE.replace('carl', 'anna'))  # a table counts more
    assert groups(PackedStore(copy.root))['c'] == 'anna'


def test_an_index_of_version_0_1_has_no_groups(tmp_path: Path) -> None:
    root = packed(tmp_path)
    index = json.loads((root / 'index.json').read_text())
    for video in index['videos']:
        del video['group']
    (root / 'index.json').write_text(json.dumps(index))
    assert set(groups(PackedStore(root)).values()) == {None}


def test_trials_carry_groups(tmp_path: Path) -> None:
    with TrialWriter(tmp_path / 'new', {'x': (1,)}) as writer:
        for name, group in (('a', 'anna'), ('b', None)):
            writer.add(name, 'train', {'x': np.zeros((3, 1))}, np.zeros((3, 2)), group=group)
    assert groups(TrialStore(tmp_path / 'new')) == {'a': 'anna', 'b': None}


def test_the_writer_of_hdf5_writes_the_table(tmp_path: Path) -> None:
    def write(root: Path, given: dict[str, str | None]) -> RUCAIM3Store:
        with RUCAIM3Writer(root, {'x': (1,)}) as writer:
            for name, group in given.items():
                partition = 'test' if name == 'd' else 'train'
                labels = None if name == 'd' else np.zeros((3, 2))
                writer.add(name, partition, {'x': np.zeros((3, 1))}, labels, group=group)
        return RUCAIM3Store(root)

    assert groups(write(tmp_path / 'all', EXPECTED)) == EXPECTED
    assert not (write(tmp_path / 'none', dict.fromkeys('ab')).root / 'groups.csv').exists()
    with pytest.raises(DataError, match='b has no group, but a has one'):
        write(tmp_path / 'some', {'a': 'anna', 'b': None})
    assert not (tmp_path / 'some').exists()


class Persons(MemoryStore):
    """Eight persons with three videos each, of uneven length."""

    def __init__(self, said: bool = True, partitions: tuple[str, ...] = ('train', 'train', 'val')) -> None:
        rng = np.random.default_rng(0)
        super().__init__(rng.integers(20, 90, 24).tolist(), {'x': (1,)})
        self.infos = tuple(
            VideoInfo(f'v{i}', partitions[i % 3], v.num_frames, group=f'p{i // 3}' if said else None)
            for i, v in enumerate(self.infos)
        )


def test_balanced_folds_keep_persons_whole() -> None:
    store = Persons()
    seen = []
    for fold in range(4):
        split = BalancedKFold(fold, 4)
        split.fit(store)
        val, train = (split.videos(store.infos, partition) for partition in ('val', 'train'))
        assert not {v.group for v in val} & {v.group for v in train}
        seen += val
    assert sorted(v.video_id for v in seen) == sorted(v.video_id for v in store.infos)
    with pytest.raises(DataError, match='8 groups of training and validation videos cannot fill 9 folds'):
        BalancedKFold(0, 9).fit(store)
    BalancedKFold(0, 9).fit(Persons(said=False))


@pytest.mark.parametrize('kind', ['OfficialSplit', 'RolledKFold'])
def test_a_rule_that_parts_groups_is_reported(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines: list[tuple[str, int]] = []
    monkeypatch.setattr(
        'abawfw.datasets.splits.build.print_log', lambda text, logger, level: lines.append((text, level))
    )
    cfg = {'type': kind} | ({} if kind == 'OfficialSplit' else {'fold': 1})
    store = Persons()
    store.root = tmp_path / kind  # what was said of a store is not said again
    before = build_split(cfg, store).videos(store.infos, 'val')
    build_split(cfg, store)
    ((text, level),) = lines
    assert level == logging.WARNING
    assert f'{kind} has videos of ' in text
    assert 'both in train and in val (p' in text
    assert 'BalancedKFold keeps groups whole' in text
    # it is a warning: folds stay those of the reference
    unknown = Persons(said=False)
    unknown.root = tmp_path / f'{kind}2'
    assert [v.video_id for v in build_split(cfg, unknown).videos(unknown.infos, 'val')] == [
        v.video_id for v in before
    ]
    assert len(lines) == 1


def test_check_data_says_what_is_known_of_groups(tmp_path: Path) -> None:
    root = rucaim3(tmp_path)

    def found() -> tuple[str, list[tuple[str, str]]]:
        report = check_store(RUCAIM3Store, root)
        return report.groups, [(p.severity, p.text) for p in report.problems if p.check == 'groups']

    assert found() == ('4 videos, no groups known', [])
    (root / 'groups.csv').write_text(TABLE)
    text = '3 groups (4 videos; the group of 1 is unknown, each counts as one of its own)'
    assert found() == (text, [])
    (root / 'groups.csv').write_text(TABLE.replace('carl', 'anna'))
    problem = "group 'anna' is in train and in val: scores on val do not tell how new persons would fare"
    assert found()[1] == [('warning', problem)]
    (root / 'groups.csv').write_text(TABLE + 'a,ben\n')
    ((severity, text),) = found()[1]
    assert severity == 'error'
    assert "line 5: video 'a' stands there twice" in text


@pytest.mark.parametrize('make', [rucaim3, trials, packed])
def test_facts_test_groups_and_not_videos(tmp_path: Path, make) -> None:
    root = make(tmp_path)
    (root / 'groups.csv').write_text(TABLE)
    facts = read_facts(root)
    store = open_store(root)
    both = np.concatenate([store.labels(v, 0, store.video(v).num_frames) for v in 'ba']).astype(np.float64)
    train = facts.partitions['train']
    assert len(train.video_means('arousal')) == 2
    assert train.unit_means('arousal') == pytest.approx([both[:, 1].mean()])
    assert facts.report.groups.startswith('3 groups (4 videos')
