"""tools/infer.py --network: the curve of a network that gives valence and arousal itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from command_line import call
from extraction.made_detectors import LabelledDetector, all_found_by
from extraction.made_networks import pooled, weights
from extraction.made_videos import constant_rate, write_video
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from abawfw.apis.network import NetworkInferencer
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import AbawfwError, ConfigError
from abawfw.extraction.faces.detectors.base import Face
from abawfw.extraction.faces.track import FaceTrack, FaceView, crops
from abawfw.extraction.video.recording import Recording

COUNT = 12
SIDE = 24
LATE = 5
"""The first frame with a face."""


BOX = np.array([10, 10, 50, 50], np.float32)
POINTS = np.array([(23, 28), (36, 28), (30, 35), (24.5, 42), (35, 42)], np.float32)


class Faces(LabelledDetector):
    """The same face in every picture that is not dark."""

    label = 'same'

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        return [Face(BOX, POINTS, 0.9)] if rgb.mean() > 40 else []

    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        return (self.detect(rgb) or [None]) * len(boxes)


detector = all_found_by(Faces)


def pictures(first: int) -> list[NDArray[np.uint8]]:
    """Of the same things in changing light, dark before the ``first``."""
    rng = np.random.default_rng(0)
    base = cv2.resize(rng.integers(60, 200, (8, 12, 3), dtype=np.uint8), (96, 64)).astype(np.float64)
    made = [base * (0.8 + 0.02 * i) * (i >= first) for i in range(COUNT)]
    return [picture.astype(np.uint8) for picture in made]


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames have no face; a second of audio."""
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, 16000)
    path = tmp_path_factory.mktemp('video') / 'a.mkv'
    return write_video(path, pictures(LATE), constant_rate(COUNT), noise, 16000, sound_codec='pcm_s16le')


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return pooled(tmp_path / 'net.onnx', outputs=[('scores', 8), ('va', 2)])


def test_the_curve_is_that_of_the_network_frame_by_frame(
    net: Path, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ['output=va', 'columns=1,0', 'mean=0.4,0.5,0.6', 'std=0.25', 'colours=BGR', 'range=-2,2']
    words = ['--out', tmp_path / 'o', '--overlay', '--device', 'cpu', '--cfg-options', *settings]
    found = call(capfd, 'infer', video, '--network', net, *words)
    assert found.code == 0, found.err
    assert f'4 files written to {tmp_path / "o"}' in found.out
    assert 'net.onnx, not smoothed' in found.out
    content = json.loads((tmp_path / 'o/a.va.json').read_text())
    assert content['network'] == 'net.onnx'
    assert content['settings']['colours'] == 'BGR'
    assert content['settings']['range'] == [-2, 2]
    assert f'no face in {LATE} of {COUNT} frames, which have no values' in content['notes']
    # by hand: one image at a time, through a session of its own
    session = onnxruntime.InferenceSession(net, providers=['CPUExecutionProvider'])
    track = FaceTrack.empty(np.array(constant_rate(COUNT)))
    track.found[LATE:] = True
    track.points[:] = POINTS
    frames = content['frames']
    for index, (face,) in enumerate(crops(Recording(video), [(track, FaceView(SIDE))])):
        row = frames[index]
        assert row['face'] is (index >= LATE)
        if index < LATE:
            assert [row[k] for k in ('valence', 'arousal', 'valence_raw', 'arousal_raw')] == [None] * 4
            continue
        image = (face[..., ::-1] / np.float32(255) - np.float32([0.4, 0.5, 0.6])) / np.float32(0.25)
        (values,) = session.run(['va'], {'input': image.transpose(2, 0, 1)[None].astype(np.float32)})
        arousal, valence = values[0] / 2
        assert row['valence_raw'] == pytest.approx(valence, abs=1e-6)
        assert row['arousal_raw'] == pytest.approx(arousal, abs=1e-6)
        assert row['valence'] == pytest.approx(np.clip(valence, -1, 1), abs=1e-6)
    assert len({row['valence'] for row in frames}) == COUNT - LATE + 1
    with (tmp_path / 'o/a.va.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['valence'] == '' for row in rows] == [k < LATE for k in range(COUNT)]
    assert len(list(Recording(tmp_path / 'o/a.va.mp4').frames())) == COUNT


def test_a_network_of_audio(video: Path, tmp_path: Path) -> None:
    """Without looking for faces; two outputs that are called so."""
    sound = pooled(tmp_path / 'net.onnx', ('n', 1600), [('arousal', 1), ('valence', 1)], axes=[1])
    inferencer = NetworkInferencer(sound, {'type': 'sound_onnx', 'hop': 0.05}, 'cpu')
    found = inferencer.predict_video(video)
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, 16000)
    centres = np.round(found.table.index / 0.05).astype(int) * 800
    means = sliding_window_view(np.pad(noise, 800), 1600).mean(1)[centres]
    weight, bias = weights(1, 1)
    np.testing.assert_allclose(found.table.valence, means * weight[0, 0] + bias[0], atol=1e-4)
    assert found.track is None
    assert found.table.face.isna().all()


def test_what_is_assumed_is_said(video: Path, tmp_path: Path) -> None:
    plain = pooled(tmp_path / 'net.onnx')
    notes = NetworkInferencer(plain, {}, 'cpu').notes
    assert "two numbers of its output 'output' are taken for valence and arousal" in notes[0]
    assert NetworkInferencer(plain, {'columns': [1, 0]}, 'cpu').notes == []
    known = pooled(tmp_path / 'mbf_va_mtl.onnx', ('n', 3, 112, 112), [('output', 10)])
    inferencer = NetworkInferencer(known, {}, 'cpu')
    assert inferencer.notes == []
    assert inferencer.head()['settings']['columns'] == [8, 9]


@pytest.mark.parametrize(
    ('outputs', 'settings', 'told'),
    [
        ([('v', 1), ('a', 1), ('d', 1)], {}, "has 3 outputs, 'v' (n, 1) of tensor(float); 'a' (n, 1)"),
        ([('vad', 3)], {}, "has 1 output, 'vad' (n, 3) of tensor(float); say which are valence and arousal"),
        ([('vad', 3)], {'output': 'vad'}, 'gives 3 numbers, of 1 output'),
        ([('va', 2)], {'type': 'face'}, 'type=face: face_onnx or sound_onnx'),
        ([('va', 2)], {'type': 'sound_onnx'}, 'audio is expected'),
        ([('va', 2)], {'file': 'x'}, 'are --network, --device and --threads'),
        ([('va', 2)], {'range': [1, 1]}, 'range=[1, 1]: two numbers, as range=0,1'),
        ([('va', 2)], {'range': 3}, 'range=3: two numbers'),
        ([('va', 2)], {'coulors': 'BGR'}, "no option 'coulors'; did you mean 'colours'?"),
    ],
)  # fmt: skip
def test_networks_and_settings_that_do_not_say_it(
    outputs: list, settings: dict, told: str, tmp_path: Path
) -> None:
    with pytest.raises(AbawfwError) as caught:
        NetworkInferencer(pooled(tmp_path / 'net.onnx', outputs=outputs), settings, 'cpu')
    assert told in str(caught.value)
    assert '\n' not in str(caught.value)


def test_no_face_in_the_whole_video(tmp_path: Path) -> None:
    dark = write_video(tmp_path / 'dark.mp4', pictures(COUNT), constant_rate(COUNT))
    inferencer = NetworkInferencer(pooled(tmp_path / 'net.onnx'), {}, 'cpu')
    with pytest.raises(AbawfwError, match=f'no face in any of its {COUNT} frames'):
        inferencer.predict_video(dark)
    with pytest.raises(ConfigError, match='a network has settings'):
        inferencer.predict_video(dark, options={'face_onnx': {}})


def test_command_lines_that_mix_run_and_network(
    net: Path, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with TrialWriter(tmp_path / 'store', {'face48': (2,)}) as writer:
        writer.add('a', 'test', {'face48': np.zeros((3, 2))})
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/config.py').touch()
    for words, told in (
        ([video], 'the following arguments are required: RUN'),
        ([video, tmp_path, '--cfg-options', 'mean=0.5'], '--cfg-options mean=...: give FEATURE.OPTION=VALUE'),
        ([video, tmp_path / 'run', '--network', net], 'run is a run, and --network stands in place of one'),
        ([video, '--network', net, '--overlap', '2'], '--overlap is of a run'),
        ([tmp_path / 'store', '--network', net, '--cfg-options', 'output=va'], 'a network needs a video'),
        ([video, '--network', tmp_path / 'gone.onnx'], 'gone.onnx: no such file'),
    ):
        found = call(capfd, 'infer', *words)
        assert found.code == 2
        assert told in found.err
