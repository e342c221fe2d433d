"""tools/infer.py: from videos and stores to files, and what it refuses."""

from __future__ import annotations

import csv
import importlib
import json
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from command_line import ROOT, call
from extraction.made_detectors import LabelledDetector, all_found_by, found_by
from extraction.made_videos import constant_rate, patched, plain, write_video
from numpy.typing import NDArray
from random_runs import make_run

from abawfw.apis import VAInferencer
from abawfw.apis.face_frames import face_text
from abawfw.apis.infer import infer_video
from abawfw.apis.inferencer import VideoPrediction
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.records import FeatureInfo
from abawfw.errors import ConfigError, DataError
from abawfw.extraction.audio.audio_stream import AudioStream
from abawfw.extraction.extractors import Extractor, build_extractor
from abawfw.extraction.faces.detectors.base import Face
from abawfw.extraction.pipeline.extract import extract_video
from abawfw.extraction.pipeline.feature_store import GrowingStore
from abawfw.extraction.video.recording import Recording
from abawfw.registry import FACE_DETECTORS

FEATURES = ['face48', 'mfcc']
OWN = {
    'features': FEATURES,
    'normalized': ['mfcc'],
    'leader_channels': [6, 6],
    'follower_channels': [6, 6],
    'window': 20,
    'hop': 15,
    'model.encoders': {'face48': '${leader_encoder}', 'mfcc': '${follower_encoder}'},
    'model.backbones.face48.width': 2,
    'windows': {'valence': 3, 'arousal': 0},
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
}


class PlainDetector(LabelledDetector):
    """Takes the middle of every picture that is not black for a face."""

    label = 'plain'

    def __init__(self, limit: int = 10) -> None:
        self.limit = limit

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        return [face for face in self.refine(rgb, np.zeros((1, 4), np.float32)) if face is not None]

    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        if rgb.mean() < self.limit:
            return [None] * len(boxes)
        height, width = rgb.shape[:2]
        low, high = 0.2 * np.array([width, height]), 0.8 * np.array([width, height])
        shares = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]])
        points = (low + shares * (high - low)).astype(np.float32)
        return [Face(np.concatenate([low, high]).astype(np.float32), points, 0.9)] * len(boxes)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {'limit': self.limit}


detector = all_found_by(PlainDetector)


def pictures(count: int, size: tuple[int, int] = (96, 64)) -> list[NDArray[np.uint8]]:
    """Two frames out of seven are black; the others differ."""
    made = plain(count, size)
    for i, picture in enumerate(made):
        picture[:: 2 + i % 5] = 30 + 3 * (i % 50)
        if i % 7 > 4:
            picture[:] = 0
    return made


def voice(seconds: float) -> NDArray[np.float32]:
    clock = np.arange(int(48000 * seconds)) / 48000
    return (0.3 * np.sin(2 * np.pi * (150 + 100 * clock) * clock)).astype(np.float32)


def video(path: Path, count: int = 45, seconds: float = 3.0, **more: Any) -> Path:
    times = np.cumsum(np.resize([0.03, 0.05, 0.04], count)) - 0.03
    return write_video(path, pictures(count), times.tolist(), voice(seconds) if seconds else None, **more)


@pytest.fixture(scope='module')
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two extracted videos: one of training, one of the test set."""
    folder = tmp_path_factory.mktemp('extracted')
    root = folder / 'store'
    extractors = [build_extractor(name) for name in FEATURES]
    infos = {e.name: FeatureInfo(tuple(e.dims), e.dtype) for e in extractors}
    faces = PlainDetector()
    settings = {e.name: e.settings() for e in extractors} | {'faces': faces.settings()}
    rng = np.random.default_rng(0)
    with GrowingStore(root, infos, settings) as growing:
        for name, partition, count in (('learnt', 'train', 30), ('known', 'val', 45), ('new', 'test', 45)):
            path = video(folder / f'{name}.mp4', count)
            labels = {'': rng.uniform(-1, 1, (count, 2)).astype(np.float32)} if partition != 'test' else None
            growing.add(extract_video(path, extractors, faces, root, labels, partition=partition).trials)
    return root


@pytest.fixture(scope='module')
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    extraction = json.loads((store / 'extraction.json').read_text())
    folder = tmp_path_factory.mktemp('own') / 'run'
    options = {**OWN, 'data_root': str(store)}
    return make_run(folder, ROOT / 'configs/own/pixels_own.py', options, extraction)


@pytest.fixture
def clip(store: Path) -> Path:
    """The video of the test set, which the store has extracted."""
    return store.parent / 'new.mp4'


def test_video(run: Path, store: Path, clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'infer', clip, run, '--out', tmp_path, '--overlay', '--device', 'cpu')
    assert found.code == 0, found.err
    assert found.err == ''
    assert f'4 files written to {tmp_path}' in found.out
    content = json.loads((tmp_path / 'new.va.json').read_text())
    assert content['postprocess'] == {
        'valence': ['MeanSmoothing(window=3)'],
        'arousal': ['MeanSmoothing(window=0)'],
    }
    frames = content['frames']
    # what the store gives of the same video
    table = VAInferencer(run, 'cpu').predict_store(store)['new']
    assert [f['frame'] for f in frames] == list(range(45))
    np.testing.assert_allclose([f['time'] for f in frames], table.index, atol=1e-9)
    for column in ('valence', 'arousal', 'valence_raw', 'arousal_raw'):
        np.testing.assert_allclose([f[column] for f in frames], table[column], atol=1e-6)
    assert np.ptp(table.valence_raw) > 0
    # black frames have no face; the tracker may take a while to see one again
    seen = [f['face'] for f in frames]
    assert any(seen)
    assert not any(face and i % 7 > 4 for i, face in enumerate(seen))
    with np.load(store / 'new/face_track.npz') as track:
        np.testing.assert_array_equal(seen, track['found'])
    with (tmp_path / 'new.va.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r['arousal']) for r in rows] == [f['arousal'] for f in frames]
    assert matplotlib.image.imread(tmp_path / 'new.va.png').std() > 0.05
    overlay = Recording(tmp_path / 'new.va.mp4')
    np.testing.assert_allclose([f.time for f in overlay.frames()], table.index, atol=1e-4)
    assert AudioStream(overlay.path).count == 1


def test_a_clip_of_variable_rate(store: Path, tmp_path: Path) -> None:
    """Its own frames and times come out, with the face in each, whatever frames the networks have seen."""
    times = np.cumsum(np.r_[0, np.full(22, 0.02), np.full(22, 0.08)])
    clip = write_video(tmp_path / 'slows.mp4', pictures(45), times.tolist(), voice(2.4))
    extraction = json.loads((store / 'extraction.json').read_text())
    options = {**OWN, 'data_root': str(store)}
    config = ROOT / 'configs/own/pixels_own.py'
    inferencer = VAInferencer(
        make_run(tmp_path / 'run', config, options, extraction, [25.0, 25.0]), 'cpu', words=True
    )
    found = inferencer.predict_video(clip)
    assert any('features were resampled to 25, 56 frames' in note for note in found.notes)
    np.testing.assert_allclose(found.table.index, times, atol=1e-3)
    assert not any(face and i % 7 > 4 for i, face in enumerate(found.table.face))
    assert found.table.word.notna().all()


def test_store(run: Path, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copied = shutil.copytree(run, tmp_path / 'run')
    (copied / 'inferred').mkdir()
    (copied / 'inferred/new.va.mp4').touch()
    found = call(capfd, 'infer', store, copied)
    assert found.code == 0, found.err
    assert f'of an earlier call, and not of this one: new.va.mp4 in {copied}/inferred' in found.out
    (copied / 'inferred/new.va.mp4').unlink()
    names = {p.name for p in (copied / 'inferred').iterdir()}
    assert names == {f'{v}.va.{k}' for v in ('learnt', 'known', 'new') for k in ('json', 'csv', 'png')}
    tables = VAInferencer(run, 'cpu').predict_store(store)
    for name, table in tables.items():
        content = json.loads((copied / f'inferred/{name}.va.json').read_text())
        np.testing.assert_allclose([f['valence'] for f in content['frames']], table.valence, atol=1e-6)
    face = tables['new'].face
    with np.load(store / 'new/face_track.npz') as track:  # as for the video itself
        np.testing.assert_array_equal(face, track['found'])
    bare = shutil.copytree(store, tmp_path / 'bare')
    (bare / 'new/face_track.npz').unlink()
    mask = np.zeros(45, dtype=bool)
    mask[3:9] = True
    np.save(bare / 'new/face48_valid.npy', mask)
    np.testing.assert_array_equal(VAInferencer(run, 'cpu').predict_store(bare)['new'].face, mask)


def test_one_frame(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    single = write_video(tmp_path / 'single.mp4', pictures(1), [0.0], voice(2))
    found = call(capfd, 'infer', single, run, '--out', tmp_path, '--overlay')
    assert found.code == 0, found.err
    assert 'single: 1 frame' in found.out
    assert len(json.loads((tmp_path / 'single.va.json').read_text())['frames']) == 1


def test_portrait_with_rotation_flag(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    upright = pictures(10, (64, 96))
    turned = write_video(tmp_path / 'phone.mp4', upright, constant_rate(10), voice(1), rotation=-90)
    plain_one = write_video(tmp_path / 'plain.mp4', upright, constant_rate(10), voice(1))
    tables = [VAInferencer(run, 'cpu').predict_video(path).table for path in (turned, plain_one)]
    np.testing.assert_allclose(tables[0].valence_raw, tables[1].valence_raw, atol=0.05)
    found = call(capfd, 'infer', turned, run, '--out', tmp_path / 'out', '--overlay')
    assert found.code == 0, found.err


@pytest.mark.parametrize(
    ('black', 'seconds', 'note'),
    [
        (True, 3.0, 'no face in any of the 20 frames: the curves come from the other features alone'),
        (False, 0.0, 'no audio in any of the 20 frames: the curves come from the other features alone'),
        (False, 0.3, None),
    ],
    ids=['no face', 'no audio', 'short sound'],
)
def test_half_of_it_missing(run: Path, tmp_path: Path, black: bool, seconds: float, note: str | None) -> None:
    frames = [np.zeros((64, 96, 3), np.uint8)] * 20 if black else pictures(20)
    path = write_video(tmp_path / 'half.mp4', frames, constant_rate(20), voice(seconds) if seconds else None)
    found = VAInferencer(run, 'cpu').predict_video(path)
    assert np.isfinite(found.table.valence_raw).all()
    assert (note in found.notes) if note else not any('alone' in n for n in found.notes)
    if black:
        assert not found.table.face.any()


def test_nothing_to_see_or_hear(run: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / 'nothing.mp4', [np.zeros((64, 96, 3), np.uint8)] * 9, constant_rate(9))
    with pytest.raises(DataError, match=r'no face, no audio in any of its 9 frames, so there is nothing to'):
        VAInferencer(run, 'cpu').predict_video(path)


def test_a_face_in_so_many_frames_means_the_same_everywhere(
    run: Path, store: Path, clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Frames over which a face is held are told apart: from a video, a store, and in extraction itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('abawfw.extraction.faces.tracking.CUT', 300)  # black frames are gaps, no other scene
        root = shutil.copytree(store, tmp_path / 'store')
        shutil.rmtree(root / 'new')
        extractors = [build_extractor(name) for name in FEATURES]
        report = extract_video(clip, extractors, PlainDetector(), root)
        given = call(capfd, 'infer', clip, run, '--out', tmp_path / 'a', '--device', 'cpu')
    found, held = report.faces['new']
    assert held > 0
    text = f'a face in {found}, held over short gaps in {held} more'
    assert face_text(found, held) == text
    assert f', {text}; mean' in given.out
    assert f', {text}; mean' in call(capfd, 'infer', root, run, '--out', tmp_path / 'b').out
    pack_store(open_store(root), tmp_path / 'packed')  # has masks, and no track
    packed = call(capfd, 'infer', tmp_path / 'packed', run, '--out', tmp_path / 'c').out
    assert f', features of a face in {found + held}; mean' in packed


def test_the_same_rule_for_a_store(
    run: Path, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A video of which nothing was observed has no curve; the others of the store have theirs."""
    root = shutil.copytree(store, tmp_path / 'store')
    for feature in FEATURES:
        np.save(root / f'new/{feature}_valid.npy', np.zeros(45, bool))
    np.save(root / 'known/mfcc_valid.npy', np.zeros(45, bool))
    index = json.loads((root / 'trials.json').read_text())
    for trial in index['trials']:
        trial['valid'] = FEATURES if trial['trial'] == 'new' else sorted({*trial['valid'], 'mfcc'})
    np.save(root / 'learnt/mfcc_valid.npy', np.ones(30, bool))
    (root / 'trials.json').write_text(json.dumps(index))
    found = call(capfd, 'infer', root, run, '--out', tmp_path / 'out', '--device', 'cpu')
    assert found.code == 1
    title, why = found.err.splitlines()
    assert title == '1 video failed:'
    assert why.startswith(
        f"  new: {root}: video 'new': no face, no audio in any of its 45 frames, so there is"
    )
    assert sorted({p.name.split('.')[0] for p in (tmp_path / 'out').iterdir()}) == ['known', 'learnt']
    alone = 'no audio in any of the 45 frames: the curves come from the other features alone'
    assert json.loads((tmp_path / 'out/known.va.json').read_text())['notes'] == [alone]
    with pytest.raises(DataError, match="video 'new': no face, no audio"):
        VAInferencer(run, 'cpu').predict_store(root)
    assert set(VAInferencer(run, 'cpu').predict_store(root, skip=['new'])) == {'known', 'learnt'}


def test_nothing_in_arrays(run: Path) -> None:
    arrays = {'face48': np.zeros((5, 48, 48, 3), np.uint8), 'mfcc': np.zeros((5, 39), np.float32)}
    nothing = dict.fromkeys(arrays, np.zeros(5, bool))
    with pytest.raises(DataError, match='arrays: no face, no audio in any of its 5 frames'):
        VAInferencer(run, 'cpu').predict_arrays(arrays, fps=30, observed=nothing)


def test_several_videos_and_folders(
    run: Path, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / 'videos', tmp_path / 'out'
    (folder / 'inner').mkdir(parents=True)
    video(folder / 'inner/a.mp4', 20)
    (folder / 'b.mp4').write_text('no video')
    (folder / 'notes.txt').touch()
    single = video(tmp_path / 'c.mp4', 25)
    # options between the places, as people type them
    found = call(capfd, 'infer', single, folder, '--device', 'cpu', store, run, '--out', out)
    assert found.code == 1
    lines = [line for line in found.out.splitlines() if not line.startswith(' ')]
    assert lines[0] == f'{folder}: omitted, since they are no videos by their ending: notes.txt'
    assert lines[3] == 'trained at an unknown frame rate: videos are taken as they are'
    names = [line.split(':')[0] for line in lines[4:-1]]
    assert names == ['c', 'a', 'b', 'known', 'learnt', 'new']
    assert 'b: failed, see the end' in lines
    assert lines[-1] == f'5 videos, 165 frames: 15 files written to {out}'
    title, reason = found.err.splitlines()
    assert title == '1 video failed:'
    assert reason.startswith(f'  b: {folder}/b.mp4: no video, or a damaged one')
    kinds = ('json', 'csv', 'png')
    assert {p.name for p in out.iterdir()} == {
        f'{v}.va.{k}' for v in ('a', 'c', 'known', 'learnt', 'new') for k in kinds
    }


def test_interrupted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = video(tmp_path / 'first.mp4', 20), video(tmp_path / 'second.mp4', 20)
    predict = VAInferencer.predict_video

    def stopped(self: VAInferencer, path: Path, **options: Any) -> Any:
        if path == second:
            raise KeyboardInterrupt
        return predict(self, path, **options)

    monkeypatch.setattr(VAInferencer, 'predict_video', stopped)
    out = tmp_path / 'out'
    found = call(capfd, 'infer', first, second, run, '--out', out, '--device', 'cpu')
    assert found.code == 130
    kept = f'{out}: interrupted; the files of 1 videos are whole and stay'
    assert found.err.endswith(f'{kept}. To go on give what is missing: {second}\n')
    assert len(list(out.iterdir())) == 3


@pytest.mark.parametrize('what', ['picture', 'extraction'])
def test_too_little_memory(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    path, out = video(tmp_path / 'a.mp4', 20), tmp_path / 'out'

    def fail(*arguments: Any, **options: Any) -> None:
        raise MemoryError

    module, name = (
        ('abawfw.apis.infer', 'draw_curves')
        if what == 'picture'
        else ('abawfw.extraction.pipeline.extract', 'find_trials')
    )
    monkeypatch.setattr(importlib.import_module(module), name, fail)
    found = call(capfd, 'infer', path, run, '--out', out, '--device', 'cpu')
    assert found.code == 2
    named = f'{out}/a.va.png' if what == 'picture' else path
    (line,) = found.err.splitlines()
    assert line.startswith(f'error: {named}: not enough memory')


@pytest.mark.parametrize(('source', 'file'), [('video', 'face_track.npz'), ('store', '.va.json')])
def test_a_limit_on_the_size_of_files_names_the_file(
    run: Path,
    store: Path,
    clip: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    source: str,
    file: str,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        found = call(capfd, 'infer', clip if source == 'video' else store, run, '--out', tmp_path / 'out')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.code == 2
    (line,) = found.err.splitlines()
    assert 'File too large' in line
    assert file in line
    assert not list((tmp_path / 'out').iterdir())


def test_runs_of_before_take_every_track_for_a_face(run: Path, clip: Path, tmp_path: Path) -> None:
    """What version 0.1.0 recorded has no rule for tracks; a run trained so goes on without."""

    class Ruled(PlainDetector):
        def __init__(self, limit: int = 10, confidence: float = 0.95, shortest: float = 0.5) -> None:
            super().__init__(limit)
            self.confidence, self.shortest = confidence, shortest

        def settings(self) -> dict[str, Any]:
            return super().settings() | {'confidence': self.confidence, 'shortest': self.shortest}

    then = {'detector': 'plain', 'limit': 10, 'persons': 1, 'hold': 0.5}
    old = remade(run, tmp_path / 'old', {'face48': {}, 'mfcc': {}, 'faces': then})
    rule = {'confidence': 0.95, 'shortest': 0.5}
    now = remade(run, tmp_path / 'now', {'face48': {}, 'mfcc': {}, 'faces': {**then, **rule}})
    with found_by(Ruled):
        before, after = (VAInferencer(r, 'cpu').predict_video(clip) for r in (old, now))
    assert before.table.face.any()
    assert not [note for note in before.notes if 'another way' in note]
    assert not after.table.face.any()
    assert any('its median score is 0.900 and 0.95 is needed' in note for note in after.notes)


def test_run_that_only_hears(store: Path, clip: Path, tmp_path: Path) -> None:
    """Extracts no more than it needs: no face is looked for."""
    extraction = json.loads((store / 'extraction.json').read_text())
    options = {k: v for k, v in OWN.items() if not k.startswith('model.')}
    options |= {'features': ['mfcc'], 'data_root': str(store)}
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {str(ROOT / "configs/own/sound_own.py")!r}\n'
        "model = dict(encoders=dict(_delete_=True, mfcc='${leader_encoder}'), "
        "fusion=dict(_delete_=True, type='ConcatFusion'))\n"
    )
    options.pop('follower_channels')
    run = make_run(tmp_path / 'run', config, options, extraction)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(FACE_DETECTORS.module_dict, 'MTCNNDetector')
        found = VAInferencer(run, 'cpu').predict_video(clip)
    assert found.track is None
    assert found.table.face.isna().all()
    np.testing.assert_allclose(
        found.table.valence, VAInferencer(run, 'cpu').predict_store(store)['new'].valence, atol=1e-6
    )


def remade(run: Path, folder: Path, extraction: dict[str, Any], **options: Any) -> Path:
    """The run with another account of how its features were extracted."""
    config = ROOT / 'configs/own/pixels_own.py'
    data_root = str(VAInferencer(run, 'cpu').cfg.data_root)
    return make_run(folder, config, {**OWN, 'data_root': data_root, **options}, extraction)


def test_gaps_of_a_video_are_those_of_its_track(run: Path, store: Path, clip: Path, tmp_path: Path) -> None:
    extraction = json.loads((store / 'extraction.json').read_text())
    bridging = remade(
        run, tmp_path / 'run', extraction, postprocess=[{'type': 'GapInterpolation', 'limit': 45}]
    )
    inferencer = VAInferencer(bridging, 'cpu')
    table = inferencer.predict_video(clip).table
    with np.load(store / 'new/face_track.npz') as track:
        found = track['found']
    assert not found.all()
    frames = np.arange(45)
    lines = np.interp(frames, frames[found], table.valence_raw[found])
    np.testing.assert_allclose(table.valence, np.clip(lines, -1, 1), atol=1e-6)
    np.testing.assert_allclose(table.valence, inferencer.predict_store(store)['new'].valence, atol=1e-6)


def test_features_that_cannot_be_extracted(run: Path, clip: Path, tmp_path: Path) -> None:
    unknown = VAInferencer(remade(run, tmp_path / 'a', {'face48': {}}), 'cpu')
    with pytest.raises(DataError) as refused:
        unknown.predict_video(clip)
    first, second = str(refused.value).splitlines()
    assert 'needs features that cannot be extracted here' in first
    assert second.strip().startswith('mfcc: how it was extracted for training is unknown')
    given: dict[str, Extractor] = {'mfcc': build_extractor('mfcc')}
    known = VAInferencer(run, 'cpu').predict_video(clip).table
    np.testing.assert_allclose(unknown.predict_video(clip, given).table.valence, known.valence, atol=1e-6)
    with pytest.raises(DataError, match="knows no feature 'logmel'"):
        unknown.predict_video(clip, {'logmel': build_extractor('logmel')})

    other = VAInferencer(remade(run, tmp_path / 'b', {'face48': {'side': 64}, 'mfcc': {}}), 'cpu')
    with pytest.raises(DataError, match='face48: was extracted for training with side 64, this abawfw has'):
        other.predict_video(clip)

    optional = VAInferencer(remade(run, tmp_path / 'c', {'face48': {}}, optional=['mfcc']), 'cpu')
    (note,) = [n for n in optional.predict_video(clip).notes if 'omitted' in n]
    assert note.startswith('mfcc is omitted, which the run can do without: how it was extracted')


def test_features_without_an_extractor(trained: Path, clip: Path) -> None:
    with pytest.raises(DataError, match=r'affectnet: there is no extractor of this name, only .*face48'):
        VAInferencer(trained, 'cpu').predict_video(clip)


def test_faces_of_training_were_found_otherwise(run: Path, clip: Path, tmp_path: Path) -> None:
    extraction = {'face48': {}, 'mfcc': {}, 'faces': {'detector': 'official crops'}}
    other = VAInferencer(remade(run, tmp_path / 'run', extraction), 'cpu')
    (note,) = [n for n in other.predict_video(clip).notes if 'another way' in n]
    assert "detector 'official crops', here 'plain'" in note
    assert not [n for n in VAInferencer(run, 'cpu').predict_video(clip).notes if 'another way' in n]


def test_refused(
    run: Path, store: Path, clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'cut.mp4').write_bytes(clip.read_bytes()[:2000])
    write_video(tmp_path / 'sound.mp4', [], [], voice(1))
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    for arguments, message in (
        ([tmp_path / 'text.mp4', run], 'text.mp4: no video, or a damaged one'),
        ([tmp_path / 'empty.mp4', run], 'empty.mp4: empty file'),
        ([tmp_path / 'cut.mp4', run], 'cut.mp4'),
        ([tmp_path / 'sound.mp4', run], 'sound.mp4: has no video stream'),
        ([tmp_path / 'nowhere.mp4', run], 'nowhere.mp4: no such video, folder of videos or store'),
        ([tmp_path / 'folder', run], 'no video in it; files ending in .3g2'),
        ([tmp_path / 'folder', run], 'and it is no store of a known kind (packed, rucaim3, trials)'),
        ([clip, tmp_path / 'folder'], 'no such config file'),
        ([clip, tmp_path / 'text.mp4'], 'text.mp4: is no run, as the last path is unless there is --network'),
        ([clip, run, '--out', tmp_path / 'file/out'], 'cannot be written (Not a directory); choose another'),
        ([clip, run, '--cfg-options', 'face48'], '--cfg-options'),
        ([clip, run, '--cfg-options', 'face48.side=3'], "has no option 'side'"),
        (
            [store, run, '--overlay'],
            'store: is a store, which holds features only; --overlay, --cfg-options and --persons',
        ),
        ([clip, store, run], "both have a video 'new', and the files of one would replace those of"),
    ):
        out = [] if '--out' in arguments else ['--out', tmp_path / 'out']
        found = call(capfd, 'infer', *arguments, *out)
        assert found.code == 2, arguments
        assert found.err.startswith('error: ')
        assert message in found.err, found.err
        assert 'Traceback' not in found.err
    assert not list((tmp_path / 'out').glob('*'))


def test_names_are_looked_at_before_the_work(
    run: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    longer = shutil.copy(clip, tmp_path / f'{"x" * 240}.mp4')
    monkeypatch.setattr(VAInferencer, 'predict_video', lambda *_, **__: pytest.fail('the work was begun'))
    found = call(capfd, 'infer', longer, run, '--out', tmp_path / 'out', '--device', 'cpu')
    assert found.code == 2
    assert (
        'the name of this video is too long for the files made of it; rename it, 23 bytes shorter'
        in found.err
    )
    assert not list((tmp_path / 'out').iterdir())


@pytest.mark.parametrize('overlay', [False, True])
def test_sound_without_a_decoder(
    run: Path, tmp_path: Path, overlay: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run that listens refuses it before it looks for faces."""
    path = write_video(tmp_path / 'a.mov', pictures(20), constant_rate(20), voice(1), sound_codec='pcm_s16le')
    patched(path, b'sowt', b'zzzz')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainDetector, 'detect', lambda *_: pytest.fail('faces were looked for'))
        options = ['--overlay'] if overlay else []
        found = call(capfd, 'infer', path, run, '--out', tmp_path / 'out', '--device', 'cpu', *options)
    assert found.code == 2
    assert 'a.mov: there is no decoder for its audio (none (zzzz' in found.err
    assert 'Traceback' not in found.err


def test_an_annotated_video_without_its_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that does not listen goes on."""
    path = write_video(tmp_path / 'a.mov', pictures(5), constant_rate(5), voice(1), sound_codec='pcm_s16le')
    patched(path, b'sowt', b'zzzz')
    times = pd.Index([f.time for f in Recording(path).frames()], name='time')
    face = pd.array([None] * 5, dtype='boolean')
    columns = {'frame': range(5), 'valence': 0.1, 'valence_raw': 0.1, 'face': face}
    predicted = VideoPrediction(pd.DataFrame(columns, index=times), None, ())
    stand_in: Any = SimpleNamespace(head=dict, intervals={}, predict_video=lambda *_, **__: predicted)
    done = infer_video(stand_in, path, tmp_path / 'out', overlay=True)
    (note,) = done.notes
    assert note.startswith(f'the annotated video has no audio: {path}: there is no decoder for its audio')
    assert AudioStream(done.files[-1]).count == 0


def test_cut_off_video_is_told(run: Path, tmp_path: Path) -> None:
    """The table of contents in front and half of the frames gone: what is there is predicted, and said."""
    whole = video(tmp_path / 'whole.mp4', 60)
    moved = tmp_path / 'moved.mp4'
    _moov_in_front(whole, moved)
    content = moved.read_bytes()
    moved.write_bytes(content[: int(0.75 * len(content))])
    found = VAInferencer(run, 'cpu').predict_video(moved)
    assert len(found.table) < 60
    assert any('the file states 60' in note for note in found.notes)


def _moov_in_front(source: Path, out: Path) -> None:
    import av

    with av.open(str(source)) as old, av.open(str(out), 'w', options={'movflags': 'faststart'}) as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)


def with_settings(store: Path, root: Path, **changes: dict[str, Any] | None) -> Path:
    """A store that tells other settings; None takes those of a feature away."""
    shutil.copytree(store, root)
    settings = json.loads((root / 'extraction.json').read_text()) | changes
    told = {name: values for name, values in settings.items() if values is not None}
    (root / 'extraction.json').write_text(json.dumps(told))
    return root


def test_a_store_of_other_settings(
    run: Path, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other features are refused; other faces, and features of which one side tells nothing, are noted."""
    other = with_settings(store, tmp_path / 'other', mfcc={'step': 0.02})
    found = call(capfd, 'infer', other, run, '--out', tmp_path / 'out', '--device', 'cpu')
    assert found.code == 2
    assert "feature 'mfcc' was extracted with step 0.02, for training 'absent'" in found.err
    faces = with_settings(store, tmp_path / 'faces', faces={'detector': 'plain', 'limit': 3}, mfcc=None)
    found = call(capfd, 'infer', faces, run, '--out', tmp_path / 'out', '--device', 'cpu')
    assert found.code == 0, found.err
    assert 'mfcc: only the run records how it was extracted' in found.out
    assert 'note: faces were found in another way for training: limit 3, for training 10' in found.out
    assert len(json.loads((tmp_path / 'out/new.va.json').read_text())['notes']) == 2
    (faces / 'extraction.json').unlink()  # nothing tells, as with stores of other tools
    assert VAInferencer(run, 'cpu').notes_on(open_store(faces)) == []
    assert VAInferencer(run, 'cpu').notes_on(open_store(store)) == []


class TwoDetector(PlainDetector):
    """A second face beside the one of `PlainDetector`."""

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        return [face for face in self.refine(rgb, np.zeros((2, 4), np.float32)) if face is not None]

    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        third = rgb.shape[1] // 3
        parts = [rgb[:, :third], rgb[:, -third:]]
        faces = [face for part in parts for face in super(TwoDetector, self).refine(part, boxes[:1])]
        shift = np.array([rgb.shape[1] - third, 0], np.float32)
        left, right = faces
        if right is not None:
            right = Face(right.box + np.tile(shift, 2), right.points + shift, right.score)
        return [right if box[0] > third else left for box in boxes] if boxes.any() else [left, right]


@found_by(TwoDetector)
def test_persons_and_whose_the_audio_is(run: Path, tmp_path: Path) -> None:
    """No mouth moves in these images, so where both faces are seen the audio is nobody's."""
    image = np.full((64, 96, 3), 120, np.uint8)
    image[:, 48:] = [200, 60, 60]
    clip = write_video(tmp_path / 'two.mp4', [image] * 20, constant_rate(20), voice(1))
    inferencer = VAInferencer(run, 'cpu')
    both = inferencer.predict_persons(clip, 'all')
    assert [one.person for one in both] == ['person1', 'person2']
    assert not any('several faces' in note or 'audio' in note for one in both for note in one.notes)
    gated = inferencer.predict_persons(clip, 'all', options={'speech': {'type': 'MouthMoves'}})
    for one, other in zip(both, gated, strict=True):
        assert np.abs(one.table.valence_raw - other.table.valence_raw).max() > 1e-6
        told = 'several faces are seen: of 20 frames, the audio is of two_person1 0, two_person2 0'
        assert told in other.notes
        assert any(
            note.startswith("the audio is that of who speaks ({'rule': 'MouthMoves'") for note in other.notes
        )
        assert any('speech is what is louder than the background' in note for note in other.notes)
        assert any(note.startswith('no audio in any of the 20 frames') for note in other.notes)
    with pytest.raises(ConfigError, match="did you mean 'MouthMoves'"):
        inferencer.predict_video(clip, options={'speech': {'type': 'MouthMove'}})
