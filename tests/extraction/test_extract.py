"""One video to the folders of its trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_parts import Broken, Clock, Colour, MadeDetector
from made_videos import constant_rate, damaged, plain, write_video
from numpy.typing import NDArray

from abawfw.datasets.checking.check import check_store
from abawfw.datasets.stores import TrialStore, open_store
from abawfw.datasets.stores.records import FeatureInfo, write_extraction
from abawfw.errors import DataError
from abawfw.extraction.extractors import Face48
from abawfw.extraction.faces.track import FaceView
from abawfw.extraction.faces.trial_faces import CropFolder
from abawfw.extraction.pipeline.extract import ExtractionReport, extract_video
from abawfw.extraction.pipeline.feature_store import GrowingStore
from abawfw.extraction.speech import SpeechRule
from abawfw.extraction.video.recording import Frame, Recording

FEATURES = [Colour(), Clock()]
SIZE = (160, 96)


def tone(seconds: float, rate: int = 48000) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def made(path: Path, count: int = 12, fps: float = 25, sound: Any = 1, **more: Any) -> Path:
    sound = tone(count / fps * sound) if sound else None
    return write_video(path, plain(count, SIZE), constant_rate(count, fps), sound, crf=1, **more)


def extract(path: Path, out: Path, *extractors: Any, faces: Any = None, **more: Any) -> ExtractionReport:
    return extract_video(path, extractors or FEATURES, faces or MadeDetector(), out, **more)


def stored(out: Path, report: ExtractionReport, *extractors: Any) -> TrialStore:
    infos = {e.name: FeatureInfo(e.dims, e.dtype) for e in extractors or FEATURES}
    settings = {'any': {'thing': 1}}
    write_extraction(out, settings)
    with GrowingStore(out, infos, settings, resume=True) as store:
        assert store.of_video(report.video) == tuple(sorted(report.trials, key=lambda t: t.info.video_id))
    opened = open_store(out)
    assert isinstance(opened, TrialStore)
    return opened


def test_rows_are_frames(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    report = extract(made(tmp_path / 'a.mp4'), out, faces=MadeDetector(without=range(3, 7)))
    assert (report.video, report.faces, report.notes) == ('a', {'a': (8, 4)}, ())
    assert report.seconds == pytest.approx(11 / 25)
    store = stored(out, report)
    (video,) = store.videos()
    assert (video.video_id, video.partition, video.num_frames, video.has_labels) == ('a', 'test', 12, False)
    assert video.fps == pytest.approx(25)
    colours = store.read('a', 'colour', 0, 12)
    np.testing.assert_allclose((colours[:, 0] - 20) / 30, np.arange(12) % 8, atol=0.1)  # see `plain`
    np.testing.assert_allclose(store.read('a', 'clock', 0, 12)[:, 0], np.arange(12) / 25, atol=1e-6)
    np.testing.assert_allclose(np.load(out / 'a/frame_times.npy'), np.arange(12) / 25, atol=1e-9)
    assert set(store.feature_names()) == {'colour', 'clock'}
    assert [p.name for p in out.iterdir() if p.name.startswith('.')] == []
    with np.load(out / 'a/face_track.npz') as track:
        assert track['found'].tolist() == [True] * 3 + [False] * 4 + [True] * 5
        assert track['filled'].sum() == 4


def test_frames_without_a_face_are_not_observed(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    report = extract(
        made(tmp_path / 'a.mp4', 40), out, Colour(), Face48(), faces=MadeDetector(without=range(3, 30))
    )
    store = stored(out, report, Colour(), Face48())
    expected = [True] * 3 + [False] * 27 + [True] * 10
    for feature in ('colour', 'face48'):
        assert store.observed('a', feature, 0, 40).tolist() == expected
        values = store.read('a', feature, 0, 40).reshape(40, -1)
        assert values.any(axis=1).tolist() == expected
    (found,) = [p for p in check_store(TrialStore, out).problems if p.check == 'faces']
    assert found.text.startswith('no face in 27 of 40 frames, in 1 run, the longest 27 frames')


def test_no_face_anywhere_and_no_sound(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    report = extract(made(tmp_path / 'a.mp4', sound=0), out, faces=MadeDetector(edges=()))
    store = stored(out, report)
    for feature in ('colour', 'clock'):
        assert not store.observed('a', feature, 0, 12).any()
        assert not store.read('a', feature, 0, 12).any()
    assert 'no face in any of the 12 frames' in report.notes
    assert 'no audio' in report.notes
    never = [p.feature for p in check_store(TrialStore, out).problems if p.check == 'never observed']
    assert sorted(never) == ['clock', 'colour']


def test_sound_shorter_than_the_pictures(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    report = extract(made(tmp_path / 'a.mp4', 40, sound=0.5), out)
    valid = stored(out, report).observed('a', 'clock', 0, 40)
    assert valid[:19].all()
    assert not valid[23:].any()


def test_one_frame(tmp_path: Path) -> None:
    out = tmp_path / 'store'
    report = extract(made(tmp_path / 'a.mp4', 1, sound=20), out)
    store = stored(out, report)
    assert (store.video('a').num_frames, store.video('a').fps, report.seconds) == (1, None, 0)
    assert store.read('a', 'clock', 0, 1)[0, 1] > 0.1
    assert [p.text for p in check_store(TrialStore, out).problems if p.check == 'times'] == []


def test_times_are_those_of_the_pictures(tmp_path: Path) -> None:
    times = [0, 0.04, 0.2, 0.24, 0.5, 1.0]
    write_video(tmp_path / 'a.mp4', plain(6, SIZE), times, tone(2), crf=1)
    report = extract(tmp_path / 'a.mp4', tmp_path / 'store')
    store = stored(tmp_path / 'store', report)
    np.testing.assert_allclose(store.read('a', 'clock', 0, 6)[:, 0], times, atol=2e-5)
    assert store.video('a').fps == pytest.approx(5)
    (found,) = [p for p in check_store(TrialStore, store.root).problems if p.check == 'times']
    assert found.text.startswith('irregular: ')


@pytest.mark.parametrize('rows', [11, 12, 13])
def test_labels(tmp_path: Path, rows: int) -> None:
    labels = np.linspace(-1, 1, 2 * rows, dtype=np.float32).reshape(rows, 2)
    labels[4] = np.nan
    out = tmp_path / 'store'
    report = extract(made(tmp_path / 'a.mp4'), out, labels={'': labels}, partition='val')
    store = stored(out, report)
    assert (store.video('a').partition, store.video('a').has_labels) == ('val', True)
    read = store.labels('a', 0, 12)
    np.testing.assert_array_equal(read[:11], labels[:11])
    assert np.isnan(read[4]).all()
    assert np.load(out / 'a/VA_continuous_label.npy')[4].tolist() == [-5, -5]
    assert bool(report.notes) == (rows != 12)
    if rows == 11:
        assert np.isnan(read[11]).all()
        assert report.notes == ('annotation of a: 11 rows for 12 frames: no label for the last 1 frame',)


def test_labels_of_another_video(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='annotation of a: 15 rows for 12 frames'):
        extract(made(tmp_path / 'a.mp4'), tmp_path / 'store', labels={'': np.zeros((15, 2), np.float32)})
    assert list((tmp_path / 'store').iterdir()) == []


@pytest.mark.parametrize('given', ['labels', 'crops'])
def test_frames_missing_in_the_middle_fit_no_rows(tmp_path: Path, given: str) -> None:
    path = damaged(tmp_path / 'a.mp4')
    report = extract(path, tmp_path / 'store', Clock())
    (told,) = [n for n in report.notes if 'packets of the video could not be decoded' in n]
    lost, frames = int(told.split()[0]), report.trials[0].info.num_frames
    (tmp_path / 'crops/a').mkdir(parents=True)
    options: dict[str, tuple[str, dict[str, Any]]] = {
        'labels': ('annotation', {'labels': {'': np.zeros((frames, 2), np.float32)}}),
        'crops': ('official crops', {'faces': CropFolder(tmp_path / 'crops')}),
    }
    what, more = options[given]
    with pytest.raises(
        DataError, match=f'{lost} damaged packets .* rows of the {what} can no longer be assigned to frames'
    ):
        extract(path, tmp_path / 'other', **more)
    assert not any((tmp_path / 'other').glob('*'))


def test_two_persons(tmp_path: Path) -> None:
    path, out = made(tmp_path / 'a.mp4'), tmp_path / 'store'
    two = MadeDetector(edges=(10, 100))
    report = extract(path, out, faces=two, persons=2)
    store = stored(out, report)
    assert [v.video_id for v in store.videos()] == ['a_left', 'a_right']
    for name, left in (('a_left', 10), ('a_right', 100)):
        with np.load(out / name / 'face_track.npz') as track:
            np.testing.assert_allclose(track['boxes'][:, 0], left, atol=1)
    labels = {s: np.full((12, 2), v, np.float32) for s, v in (('', 0.1), ('_left', 0.2))}
    report = extract(path, tmp_path / 'named', faces=two, labels=labels, partition='train')
    store = stored(tmp_path / 'named', report)
    assert {v.video_id for v in store.videos()} == {'a', 'a_left'}
    assert store.labels('a', 0, 1)[0, 0] == np.float32(0.1)
    with np.load(tmp_path / 'named/a/face_track.npz') as track:
        np.testing.assert_allclose(track['boxes'][:, 0], 100, atol=1)
    assert 'a: annotated beside another person; taken to be the right one' in report.notes
    alone = extract(path, tmp_path / 'alone', labels=dict.fromkeys(('_left', '_right'), labels['']))
    assert any('only one person was found: no face in any frame' in note for note in alone.notes)
    # annotations say who: one without a side is the one seen most, whatever is asked for
    one = extract(path, tmp_path / 'one', faces=two, labels={'': labels['']}, persons=2)
    assert (one.faces, one.notes) == ({'a': (12, 0)}, ())
    three = dict.fromkeys(('', '_left', '_right'), labels[''])
    with pytest.raises(DataError, match='a, a_left, a_right: which of the two persons is a'):
        extract(path, tmp_path / 'three', faces=two, labels=three)


class Boxed(Colour):
    """Mean colour of the box of a face."""

    name = 'boxed'

    @property
    def view(self) -> FaceView:
        return FaceView(40, boxed=True)


def test_a_video_is_read_twice_however_many_persons_and_kinds_of_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = plain(130, (200, 96))  # more than two batches
    for k, picture in enumerate(pictures):
        for left, grey in ((0, 40), (70, 120), (140, 200)):
            picture[:, left : left + 60] = grey + k % 30
    path = write_video(tmp_path / 'a.mp4', pictures, constant_rate(130, 25), crf=1)
    passes, done, frames = [], [], Recording.frames

    def counted(self: Recording) -> Iterator[Frame]:
        passes.append(self)
        return frames(self)

    monkeypatch.setattr(Recording, 'frames', counted)
    faces = MadeDetector(edges=(10, 80, 150))
    parts = [Colour(), Boxed()]
    report = extract(path, tmp_path / 'all', *parts, faces=faces, persons='all', progress=done.append)
    assert (len(passes), done[-1]) == (2, 1.0)
    store = stored(tmp_path / 'all', report, *parts)
    greys = {edge: grey + np.arange(130) % 30 for edge, grey in ((10, 40), (80, 120), (150, 200))}
    for name in ('a_person1', 'a_person2', 'a_person3'):
        with np.load(tmp_path / 'all' / name / 'face_track.npz') as track:
            grey = greys.pop(round(float(track['boxes'][0, 0])))
        for feature in ('colour', 'boxed'):
            rows = store.read(name, feature, 0, 130)
            np.testing.assert_allclose(rows, np.repeat(grey[:, None], 3, 1), atol=3)


class Turns(SpeechRule):
    """The first person speaks in even frames, the second in odd ones."""

    def speakers(self, recording: Any, audio: Any, tracks: Sequence[Any]) -> NDArray[np.bool_]:
        return np.stack([np.arange(len(tracks[0].times)) % 2 == k for k in range(len(tracks))])

    def settings(self) -> dict[str, Any]:
        return {}

    def check(self) -> None:
        """Nothing is missing."""


def test_audio_is_that_of_the_speaker_where_several_faces_are_seen(tmp_path: Path) -> None:
    path, two = made(tmp_path / 'a.mp4'), MadeDetector(edges=(10, 100))
    report = extract(path, tmp_path / 'store', faces=two, persons='all', speech=Turns())
    store = stored(tmp_path / 'store', report)
    assert [v.video_id for v in store.videos()] == ['a_person1', 'a_person2']
    ungated = extract(path, tmp_path / 'plain', faces=two, persons='all')
    rows = stored(tmp_path / 'plain', ungated).read('a_person1', 'clock', 0, 12)
    for k, name in enumerate(('a_person1', 'a_person2')):
        mine = np.arange(12) % 2 == k
        np.testing.assert_array_equal(store.observed(name, 'clock', 0, 12), mine)
        np.testing.assert_array_equal(store.observed(name, 'colour', 0, 12), True)
        np.testing.assert_array_equal(store.read(name, 'clock', 0, 12), rows * mine[:, None])
    assert 'several faces are seen: of 12 frames, the audio is of a_person1 6, a_person2 6' in report.notes
    assert not any('several faces' in note for note in ungated.notes)
    # somebody without a trial is somebody all the same
    one = stored(tmp_path / 'one', extract(path, tmp_path / 'one', faces=two, speech=Turns()))
    np.testing.assert_array_equal(one.observed('a', 'clock', 0, 12), np.arange(12) % 2 == 0)
    # alone, everything is heard
    alone = extract(path, tmp_path / 'alone', persons='all', speech=Turns())
    assert stored(tmp_path / 'alone', alone).observed('a_person1', 'clock', 0, 12).all()


def test_official_crops(tmp_path: Path) -> None:
    import cv2

    path, out = made(tmp_path / 'a.mp4'), tmp_path / 'store'
    for name in ('a_left', 'a_right'):
        (tmp_path / 'crops' / name).mkdir(parents=True)
        for number in (1, 2, 5, 12, 13):
            picture = np.full((112, 112, 3), 10 * number, np.uint8)
            cv2.imwrite(str(tmp_path / f'crops/{name}/{number:05}.jpg'), picture)
    report = extract(path, out, faces=CropFolder(tmp_path / 'crops'))
    store = stored(out, report)
    assert [v.video_id for v in store.videos()] == ['a_left', 'a_right']
    expected = np.isin(np.arange(12), (0, 1, 4, 11))
    assert store.observed('a_left', 'colour', 0, 12).tolist() == expected.tolist()
    colours = store.read('a_right', 'colour', 0, 12)[expected, 0]
    np.testing.assert_allclose(colours, [10, 20, 50, 120], atol=1)
    assert any('00013.jpg' in note for note in report.notes)
    with pytest.raises(DataError, match='no folder b with crops'):
        extract(made(tmp_path / 'b.mp4'), out, faces=CropFolder(tmp_path / 'crops'))


def test_sound_alone_looks_for_no_face(tmp_path: Path) -> None:
    report = extract_video(made(tmp_path / 'a.mp4'), [Clock()], None, tmp_path / 'store')
    assert report.faces == {}
    assert not (tmp_path / 'store/a/face_track.npz').exists()
    with pytest.raises(DataError, match='need a face detector'):
        extract_video(tmp_path / 'a.mp4', FEATURES, None, tmp_path / 'store')


@pytest.mark.parametrize(
    ('what', 'told'),
    [
        ('nan', 'broken: NaN or infinite in 1 of 12 rows, first in frame 11'),
        ('shape', r'broken: gave float32 of shape \(12, 2\) for 12 frames'),
        ('type', 'broken: gave float64'),
    ],
)
def test_an_extractor_that_fails(tmp_path: Path, what: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        extract(made(tmp_path / 'a.mp4'), tmp_path / 'store', Broken(what))
    assert list((tmp_path / 'store').iterdir()) == []


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'text.mp4').write_text('not a video, ' * 100)
    whole = made(tmp_path / 'whole.mp4')
    (tmp_path / 'cut.mp4').write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    write_video(tmp_path / 'sound.mp4', [], [], tone(1))
    for name in ('empty', 'text', 'cut', 'sound', 'gone'):
        with pytest.raises(DataError, match=f'{name}.mp4'):
            extract(tmp_path / f'{name}.mp4', tmp_path / 'store')
    assert not (tmp_path / 'store').exists()


def test_progress(tmp_path: Path) -> None:
    shares: list[float] = []
    extract(made(tmp_path / 'a.mp4'), tmp_path / 'store', progress=shares.append)
    np.testing.assert_allclose(shares, np.arange(1, 25) / 24)


def test_again_and_a_name_that_is_taken(tmp_path: Path) -> None:
    path, out = made(tmp_path / 'a.mp4'), tmp_path / 'store'
    two = MadeDetector(edges=(10, 100))
    extract(path, out, faces=two, persons=2)
    extract(path, out, faces=two, persons=2)
    with pytest.raises(DataError, match="is a trial of video 'a'; rename one of 'a' and 'a_left'"):
        extract(made(tmp_path / 'a_left.mp4'), out)
    assert sorted(p.name for p in out.iterdir()) == ['a_left', 'a_right']
