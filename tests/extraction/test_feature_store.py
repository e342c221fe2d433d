"""A store that grows: whole at any moment, whatever kills the process."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from abawfw.datasets.stores import TrialStore, open_store
from abawfw.datasets.stores.records import FeatureInfo, VideoInfo
from abawfw.errors import DataError
from abawfw.extraction.extractors.base import TranscriptExtractor
from abawfw.extraction.faces.trial_faces import CropFolder
from abawfw.extraction.pipeline.feature_store import FinishedTrial, GrowingStore, source_digests

FEATURES = {'mfcc': FeatureInfo((3,), 'float32')}
FORK = multiprocessing.get_context('fork')  # what tests need is imported there already
SETTINGS = {'mfcc': {'step': 0.01, 'bands': (1, 2)}}


def put(root: Path, name: str, siblings: tuple[str, ...] = (), partition: str = 'test') -> FinishedTrial:
    """The folder of a finished trial."""
    (root / name).mkdir()
    np.save(root / name / 'mfcc.npy', np.full((4, 3), ord(name[0]), np.float32))
    info = VideoInfo(name, partition, 4, 25.0, False)
    trial = FinishedTrial(info, frozenset(), name.partition('_')[0], siblings or (name,), 9, None)
    trial.write(root / name)
    return trial


def open_growing(root: Path, resume: bool = False, **changes: Any) -> GrowingStore:
    return GrowingStore(root, FEATURES, {**SETTINGS, **changes}, resume)


def test_every_trial_added_is_in_a_store_that_opens(tmp_path: Path) -> None:
    root = tmp_path / 'a/store'
    with open_growing(root) as store:
        assert not (root / 'trials.json').exists()
        for count, name in enumerate(('c', 'a', 'b'), 1):
            store.add([put(root, name)])
            opened = open_store(root)
            assert isinstance(opened, TrialStore)
            assert len(opened.videos()) == count
    opened = open_store(root)
    assert [v.video_id for v in opened.videos()] == ['a', 'b', 'c']
    assert opened.features() == {'mfcc': FeatureInfo((3,), 'float32')}
    assert opened.read('b', 'mfcc', 1, 2).tolist() == [[98, 98, 98]]
    assert opened.extraction == {'mfcc': {'step': 0.01, 'bands': [1, 2]}}
    assert opened.video('c').fps == 25


def test_what_a_killed_process_leaves(tmp_path: Path) -> None:
    root = tmp_path / 'store'
    with open_growing(root) as store:
        store.add([put(root, 'a')])
    put(root, 'b')  # finished, and killed before the index was written
    put(root, 'c_left', ('c_left', 'c_right'))  # the other person is missing
    (root / '.d.tmp-77').mkdir()
    (root / '.d.tmp-77/half.npy').write_bytes(b'x')
    assert [v.video_id for v in open_store(root).videos()] == ['a']
    with open_growing(root, resume=True) as store:
        assert [t.info.video_id for t in store.trials] == ['a', 'b']
        assert store.of_video('c') == ()
        assert [t.info.video_id for t in store.of_video('b')] == ['b']
        assert not (root / '.d.tmp-77').exists()
    assert [v.video_id for v in open_store(root).videos()] == ['a', 'b']
    shutil.rmtree(root / 'a')  # as errors advise
    with open_growing(root, resume=True):
        assert [v.video_id for v in open_store(root).videos()] == ['b']


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_at_the_very_first_write(tmp_path: Path) -> None:
    """Before the settings have their name nothing shows whose folder it is."""
    root = tmp_path / 'store'
    with mock.patch('os.replace', die):
        done = FORK.Process(target=open_growing, args=(root,))
        done.start()
    done.join()
    assert done.exitcode == -signal.SIGKILL
    (left,) = root.iterdir()
    assert left.name.startswith('.extraction.json.')
    (root / '.trials.json.7.tmp').touch()  # of one killed a little later
    with open_growing(root) as store:
        store.add([put(root, 'a')])
    assert sorted(path.name for path in root.iterdir()) == ['a', 'extraction.json', 'trials.json']


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'mfcc': {'step': 0.02, 'bands': [1, 2]}}, 'mfcc: step is 0.01 in the store, 0.02 now'),
        ({'mfcc': {'step': 0.01, 'bands': [1, 3]}}, r'mfcc: bands is \[1, 2\] in the store, \[1, 3\] now'),
        ({'mfcc': {'step': 0.01, 'bands': [1, 2], 'x': 1}}, 'mfcc: x is None in the store, 1 now'),
        ({'vggish': {}}, 'vggish: is not in the store'),
    ],
)
def test_changed_settings(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    open_growing(tmp_path / 'store').close()
    open_growing(tmp_path / 'store', resume=True).close()
    with pytest.raises(DataError, match=told):
        open_growing(tmp_path / 'store', True, **changes)


def test_a_feature_left_out_is_a_change(tmp_path: Path) -> None:
    open_growing(tmp_path / 'store', vggish={}).close()
    with pytest.raises(DataError, match='vggish: is in the store, and was not asked for'):
        open_growing(tmp_path / 'store', resume=True)


def is_refused(root: Path) -> None:
    with pytest.raises(DataError, match='another extraction is writing here'):
        open_growing(root, resume=True)


def test_folders_that_are_not_written_into(tmp_path: Path) -> None:
    with open_growing(tmp_path / 'store'):
        with pytest.raises(DataError, match='another extraction is writing here'):
            open_growing(tmp_path / 'store', resume=True)
        other = FORK.Process(target=is_refused, args=(tmp_path / 'store',))
        other.start()
        other.join()
        assert other.exitcode == 0
    with pytest.raises(DataError, match='exists already; continue it'):
        open_growing(tmp_path / 'store')
    (tmp_path / 'other').mkdir()
    open_growing(tmp_path / 'other').close()  # empty folders are fine
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/thesis.txt').touch()
    with pytest.raises(DataError, match=r'full: holds files \(thesis.txt\) and is no store'):
        open_growing(tmp_path / 'full', resume=True)
    with pytest.raises(DataError, match='is a file'):
        open_growing(tmp_path / 'full/thesis.txt', resume=True)


def test_a_store_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'file').touch()
    message = r'file/store: cannot be written \(Not a directory\); choose another folder'
    with pytest.raises(DataError, match=message):
        open_growing(tmp_path / 'file/store')

    def refused(**options: Any) -> None:
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(tempfile, 'TemporaryFile', refused)  # rights stop no administrator
    with pytest.raises(DataError, match=r'store: cannot be written \(Permission denied\)'):
        open_growing(tmp_path / 'store')


def test_one_name_from_two_videos(tmp_path: Path) -> None:
    root = tmp_path / 'store'
    with open_growing(root) as store:
        trial = put(root, 'a_left')
        store.add([trial])
        other = FinishedTrial(trial.info, trial.masked, 'a_left', ('a_left',), 9, None)
        with pytest.raises(DataError, match=r"'a_left' is of video 'a' and of 'a_left'"):
            store.add([other])


@pytest.mark.parametrize(
    'spoil',
    [
        lambda text: text[:50],
        lambda text: json.dumps(json.loads(text) | {'trial': 'b'}),
        lambda text: json.dumps(json.loads(text) | {'partition': 'training'}),
        lambda text: json.dumps(json.loads(text) | {'labels': None}),
        lambda text: json.dumps(json.loads(text) | {'length': True}),
        lambda text: json.dumps(json.loads(text) | {'size': 2.5}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != 'siblings'}),
    ],
)
def test_a_damaged_trial_is_told(tmp_path: Path, spoil: Any) -> None:
    root = tmp_path / 'store'
    with open_growing(root) as store:
        store.add([put(root, 'a')])
    path = root / 'a/trial.json'
    path.write_text(spoil(path.read_text()))
    with pytest.raises(DataError, match=r'a/trial\.json(:| is damaged:) .*remove the folder'):
        open_growing(root, resume=True)


class Words(TranscriptExtractor):
    """Reads a file beside the videos."""

    name, dims = 'words', (1,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, video: str) -> Path:
        return self.folder / f'{video}.csv'

    def extract(self, video: str, times: Any) -> Any:
        raise AssertionError


def test_what_a_trial_is_made_from(tmp_path: Path) -> None:
    video, words, crop = tmp_path / 'a.mp4', tmp_path / 'a.csv', tmp_path / 'crops/a_left/00001.jpg'
    crop.parent.mkdir(parents=True)
    size = 3 << 20

    def digests() -> dict[str, str]:
        return source_digests(video, 'a_left', CropFolder(tmp_path / 'crops'), [Words(tmp_path)])

    for path, content in ((video, bytes(size)), (words, b'a,0,1'), (crop, b'1')):
        path.write_bytes(content)
    before = digests()
    assert before == digests()
    assert source_digests(video, 'a_left', None, []) == {'content': before['content']}
    for at in (0, size // 15 * 7, size - 1):  # within the first, a middle and the last of 16 pieces
        content = bytearray(size)
        content[at] = 1
        video.write_bytes(content)
        assert {k for k, v in digests().items() if v != before[k]} == {'content'}
    video.write_bytes(bytes(size))
    words.write_bytes(b'b,0,1')
    crop.write_bytes(b'12')
    assert {k for k, v in digests().items() if v != before[k]} == {'crops', 'transcript'}
