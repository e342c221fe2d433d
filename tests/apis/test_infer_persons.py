"""tools/infer.py --persons: a curve per person, one overlay of all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from command_line import call
from extraction.made_detectors import all_found_by
from extraction.made_networks import pooled
from extraction.made_persons import SquareDetector, picture
from extraction.made_videos import constant_rate, write_video

from abawfw.apis.network import NetworkInferencer
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.extraction.video.recording import Recording
from abawfw.visualization.overlay_canvas import rgb_of
from abawfw.visualization.overlay_persons import PERSONS

COUNT = 12
RED, GREEN = ('red', 60, 60, 44), ('green', 130, 60, 36)


detector = all_found_by(SquareDetector)


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two persons, elsewhere in the second scene; the second one is away in the last four frames."""
    pictures = [picture(RED, GREEN)] * 6 + [
        picture(('red', 190, 60, 44), ('green', 60, 60, 36) if i < 2 else None) for i in range(6)
    ]
    path = tmp_path_factory.mktemp('video') / 'two.mp4'
    return write_video(path, pictures, constant_rate(COUNT, 12), crf=5)


@pytest.fixture(scope='module')
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pooled(tmp_path_factory.mktemp('net') / 'net.onnx')


def test_a_curve_per_person(
    net: Path, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ['--persons', 'all', '--overlay', '--device', 'cpu', '--out', tmp_path]
    found = call(capfd, 'infer', video, '--network', net, *words)
    assert found.code == 0, found.err
    assert f'5 files written to {tmp_path}' in found.out
    assert 'two, person1: 12 frames, 0.92 s, a face in 12; mean valence' in found.out
    assert 'two, person2: 12 frames, 0.92 s, a face in 8; mean valence' in found.out
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'two.va.json', 'two.va.csv', 'two_person1.va.png', 'two_person2.va.png', 'two.va.mp4'}
    frames = json.loads((tmp_path / 'two.va.json').read_text())['frames']
    assert [(f['person'], f['frame']) for f in frames] == [
        (f'person{k}', i) for k in (1, 2) for i in range(COUNT)
    ]
    with (tmp_path / 'two.va.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['person'] for row in rows] == [f['person'] for f in frames]
    # each is the person of one colour, before the cut and after it
    inferencer = NetworkInferencer(net, {}, 'cpu')
    values = np.array([f['valence'] for f in frames], np.float64).reshape(2, COUNT)
    assert (np.abs(values[0] - values[0, 0]) < 0.02).all()
    assert (np.abs(values[1, :8] - values[1, 0]) < 0.02).all()
    assert abs(values[0, 0] - values[1, 0]) > 0.05
    assert np.isnan(values[1, 8:]).all()
    largest = inferencer.predict_video(video)
    np.testing.assert_allclose(largest.table.valence, values[0])
    assert 'person' not in largest.table
    assert [one.person for one in inferencer.predict_persons(video, 2)] == ['left', 'right']
    for k in (1, 2):
        assert matplotlib.image.imread(tmp_path / f'two_person{k}.va.png').std() > 0.05
    # both boxes, each in the colour of its person, where that one is
    drawn = [frame.rgb() for frame in Recording(tmp_path / 'two.va.mp4').frames()]
    assert len(drawn) == COUNT
    scale = 484 / 136
    for i, places in ((3, (60, 130)), (7, (190, 60))):
        for colour, x, side in zip(PERSONS, places, (44, 36), strict=False):
            row, column = round(60 * scale), round((x - side / 2) * scale)
            edge = drawn[i][row - 4 : row + 4, column - 4 : column + 12].reshape(-1, 3).astype(int)
            assert np.abs(edge - rgb_of(colour)).max(1).min() < 60


def test_files_of_an_earlier_call_are_named(
    net: Path, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """But not those of another video, whose name looks like that of a person."""
    for name in ('two_person7.va.png', 'two_left.va.png', 'two_left.va.json', 'twofold.va.png'):
        (tmp_path / name).touch()
    words = [video, '--network', net, '--device', 'cpu', '--out', tmp_path]
    for more, earlier in (
        ([], 'two_person7.va.png'),
        (['--persons', 'all'], 'two.va.png, two_person7.va.png'),
    ):
        found = call(capfd, 'infer', *words, *more)
        assert f'of an earlier call, and not of this one: {earlier} in {tmp_path}' in found.out


def test_what_persons_cannot_be_of(
    net: Path, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with TrialWriter(tmp_path / 'store', {'face48': (2,)}) as writer:
        writer.add('a', 'test', {'face48': np.zeros((3, 2))})
    other = tmp_path / 'two_person1.mp4'
    other.write_bytes(video.read_bytes())
    sound = pooled(tmp_path / 'sound.onnx', ('n', 1600), axes=[1])
    dark = write_video(tmp_path / 'dark.mp4', [picture()] * 4, constant_rate(4))
    for words, told in (
        ([video, '--persons', '0'], "must be largest, all, or a whole number of 1 or above, not '0'"),
        ([video, '--persons', 'both'], "not 'both'"),
        ([tmp_path / 'store', '--persons', 'all'], '--overlay, --cfg-options and --persons need a video'),
        ([video, other, '--persons', 'all'], "two_person1: another video is called 'two'"),
        ([video, '--persons', '2', '--cfg-options', 'type=sound_onnx'], 'is no face, so persons are unknown'),
        ([dark, '--persons', 'all'], 'no face in any of its 4 frames'),
    ):
        network = sound if 'type=sound_onnx' in words else net
        found = call(capfd, 'infer', *words, '--network', network, '--device', 'cpu', '--out', tmp_path / 'o')
        assert found.code == 2
        assert told in found.err
