"""Whose the audio is: speech heard, and whose mouth moves, on real faces side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnx
import pytest
from made_networks import pooled
from made_videos import constant_rate, plain, write_sound, write_video
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from abawfw.errors import AbawfwError, CheckpointError
from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.faces.detectors import MTCNNDetector
from abawfw.extraction.faces.track import FaceTrack, find_faces
from abawfw.extraction.speech import MouthMoves
from abawfw.extraction.speech.mouth_moves import mouth_motion, smoothed
from abawfw.extraction.speech.voice import VoiceNetwork, heard, louder
from abawfw.extraction.video.recording import Recording

RATE = 16000
SHOT, FPS = 45, 30
"""Frames of each of the two scenes: in the second, the two persons have changed places."""
SPOKEN = [(4, 40), (50, 86)]
"""Frames in which the first person speaks, then those in which the second one does."""


def frames_of(path: Path, start: int) -> list[NDArray[np.uint8]]:
    """Half as large."""
    found = []
    for frame in Recording(path).frames():
        if frame.index >= start + 2 * SHOT:
            break
        if frame.index >= start:
            found.append(frame.rgb(320))
    there_and_back = [*found, *found[-2:0:-1]]
    return [there_and_back[k % len(there_and_back)] for k in range(2 * SHOT)]


def opened(rgb: NDArray[np.uint8], points: NDArray[np.float32], much: float) -> NDArray[np.uint8]:
    """The face with its lower lip and chin moved down, and dark between the lips."""
    (left, right), (y, x) = points[3:], np.indices(rgb.shape[:2], np.float32)
    centre, width = (left + right) / 2, float(np.linalg.norm(right - left))
    fade = np.exp(-(((x - centre[0]) / (0.55 * width)) ** 4) - ((y - centre[1]).clip(0) / (0.9 * width)) ** 2)
    source = y - much * 0.22 * width * fade
    below = y > centre[1]
    moved = cv2.remap(rgb, x, np.where(below, source.clip(centre[1]), y).astype('f4'), cv2.INTER_LINEAR)
    moved[below & (source < centre[1])] //= 4
    return cv2.GaussianBlur(moved, (3, 3), 0)


class Conversation(NamedTuple):
    """A video, the tracks of all persons in it, and who speaks: (persons, frames)."""

    recording: Recording
    tracks: list[FaceTrack]
    speaks: NDArray[np.bool_]


@pytest.fixture(scope='module')
def conversation(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Conversation:
    """Neither clip has speech in it, and no mouth speaks: both are made."""
    folder = tmp_path_factory.mktemp('conversation')
    names = ('single_face.mp4', 0), ('WolfgangLanger_Pexels.mp4', 250)
    faces = [frames_of(shared / 'media' / name, start) for name, start in names]
    rng = np.random.default_rng(0)
    syllables = (
        1 + np.sin(2 * np.pi * 4.5 * np.arange(2 * SHOT) / FPS + rng.normal(0, 0.2, 90).cumsum())
    ) / 2
    speaks = np.zeros((2, 2 * SHOT), np.bool_)
    for person, (start, stop) in enumerate(SPOKEN):
        speaks[person, start:stop] = True
    spoken = []
    for k, images in enumerate(faces):
        path = write_video(folder / f'{k}.mp4', images, constant_rate(2 * SHOT, FPS))
        (track,) = find_faces(Recording(path), MTCNNDetector())
        spoken.append(
            [
                opened(image, points, much) if speaks[k, i] else image
                for i, (image, points, much) in enumerate(zip(images, track.points, syllables, strict=True))
            ]
        )
    pictures = [
        np.hstack([spoken[0][i], spoken[1][i]] if i < SHOT else [spoken[1][i], spoken[0][i]])
        for i in range(2 * SHOT)
    ]
    sound = voice(np.repeat(speaks.any(0), RATE // FPS), rng)
    path = write_video(folder / 'both.mp4', pictures, constant_rate(2 * SHOT, FPS), sound, RATE)
    recording = Recording(path)
    return Conversation(recording, find_faces(recording, MTCNNDetector(), 'all'), speaks)


def voice(on: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Harmonics where ``on``, (samples,), and a little noise everywhere."""
    clock = np.arange(len(on)) / RATE
    tone = sum(np.sin(2 * np.pi * 120 * k * clock) / k for k in range(1, 9))
    return (0.1 * tone * on + rng.normal(0, 1e-4, len(on))).astype(np.float32)


def test_spoken_frames_go_to_the_face_that_speaks(conversation: Conversation) -> None:
    recording, tracks, speaks = conversation
    assert [track.suffix for track in tracks] == ['_person1', '_person2']
    # who is who does not change with the places
    middles = np.stack([track.boxes[:, [0, 2]].mean(1) for track in tracks])
    first = int(np.nanmean(middles[0, :SHOT]) > 320)
    assert ((middles[first, :SHOT] < 320) | ~tracks[first].found[:SHOT]).all()
    assert ((middles[first, SHOT:] > 320) | ~tracks[first].found[SHOT:]).all()
    assert min(track.found.mean() for track in tracks) > 0.95
    people = [tracks[first], tracks[1 - first]]
    audio = Audio(recording.path)
    owned = MouthMoves().owners(recording, audio, people)
    right = (owned == speaks).all(0)[speaks.any(0)]
    assert right.mean() >= 0.95
    assert not MouthMoves(motion=10).owners(recording, audio, people).any()  # no mouth moves so much


def test_motion_of_mouths_that_are_silent(conversation: Conversation) -> None:
    recording, tracks, _ = conversation
    motion = mouth_motion(recording, tracks)
    moved = smoothed(motion, tracks[0].times, 0.4)
    assert np.isnan(motion[:, 0]).all()
    person = int(np.nanmean(moved[0, 8:36]) < np.nanmean(moved[1, 8:36]))
    for k, (start, stop) in enumerate(SPOKEN):
        speaker = moved[person if k == 0 else 1 - person, start + 5 : stop - 5]
        other = moved[1 - person if k == 0 else person, start + 5 : stop - 5]
        assert np.median(speaker) > 3 * np.median(other)


def test_energy_is_speech_above_its_background(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    on = np.zeros(3 * RATE, np.bool_)
    on[RATE : 2 * RATE] = True
    for quieter in (1, 0.1):
        found = louder(quieter * voice(on, rng))
        assert found[100:200].mean() > 0.95
        assert not found[:100].any()
        assert not found[200:].any()
    assert louder(voice(np.ones_like(on), rng)).mean() > 0.95  # no background
    assert not louder(voice(np.zeros_like(on), rng)).any()
    assert len(louder(np.zeros(10, np.float32))) == 0
    audio = Audio(write_sound(tmp_path / 'a.mkv', voice(on, rng), RATE, 'pcm_s16le'))
    times = np.arange(0.025, 4, 0.05)
    speech = heard(audio, times, None, 0.5, 0.2)
    np.testing.assert_array_equal(speech, (times > 0.8) & (times < 2.2))
    nothing = Audio(write_video(tmp_path / 'mute.mp4', plain(3), constant_rate(3)))
    assert not heard(nothing, times, None, 0.5, 0.2).any()


def vad(path: Path, names: Sequence[str] = ('input', 'state', 'sr'), rank: int = 0, most: float = 1) -> Path:
    """A network with the inputs and outputs of silero-vad: loudness of a window and of what was before."""
    values = {'least': [-0.02], 'slope': [200.0], 'half': [0.5], 'most': [most]}
    stored = [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in values.items()]
    nodes = [
        helper.make_node('Abs', [names[0]], ['abs']),
        helper.make_node('ReduceMean', ['abs'], ['mean'], axes=[1], keepdims=1),
        helper.make_node('ReduceMean', [names[1]], ['before'], axes=[0, 2], keepdims=0),
        helper.make_node('Add', ['mean', 'before'], ['both']),
        helper.make_node('Add', ['both', 'least'], ['above']),
        helper.make_node('Mul', ['above', 'slope'], ['scaled']),
        helper.make_node('Sigmoid', ['scaled'], ['p']),
        helper.make_node('Mul', ['p', 'most'], ['output']),
        helper.make_node('Mul', ['mean', 'half'], ['later']),
        helper.make_node('Shape', [names[1]], ['shape']),
        helper.make_node('Expand', ['later', 'shape'], ['stateN']),
    ]
    floats = TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info(names[0], floats, ['n', 'm']),
        helper.make_tensor_value_info(names[1], floats, [2, 'n', 128]),
        helper.make_tensor_value_info(names[2], TensorProto.INT64, [1] * rank),
    ]
    outputs = [
        helper.make_tensor_value_info('output', floats, ['n', 1]),
        helper.make_tensor_value_info('stateN', floats, [2, 'n', 128]),
    ]
    graph = helper.make_graph(nodes, 'vad', inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 16)], ir_version=9)
    onnx.save(model, path)
    return path


def test_a_network_that_hears_speech(tmp_path: Path) -> None:
    """Windows of 512 samples with 64 before them, and its state handed on."""
    network = VoiceNetwork(str(vad(tmp_path / 'vad.onnx')))
    network.check()
    rng = np.random.default_rng(2)
    samples = rng.uniform(-0.1, 0.1, 512 * 5 + 100).astype(np.float32) * np.linspace(0, 1, 2660, dtype='f4')
    found = network.probabilities(samples)
    padded, before, expected = np.pad(np.abs(samples), (64, 412)), 0.0, []
    for k in range(6):
        mean = padded[512 * k : 512 * k + 576].mean()
        expected.append(1 / (1 + np.exp(-200 * (mean + before - 0.02))))
        before = mean / 2
    np.testing.assert_allclose(found, expected, atol=1e-4)
    on = np.zeros(3 * RATE, np.bool_)
    on[RATE : 2 * RATE] = True
    audio = Audio(write_sound(tmp_path / 'a.mkv', voice(on, rng), RATE, 'pcm_s16le'))
    speech = heard(audio, np.array([0.5, 0.9, 1.0, 1.5, 2.0, 2.15, 2.5]), network, 0.5, 0.2)
    assert speech.tolist() == [False, True, True, True, True, True, False]
    rule = MouthMoves(vad=str(tmp_path / 'vad.onnx'))
    rule.check()
    assert rule.settings()['vad'] == network.sha256[:16]
    assert rule.notes == ()


@pytest.mark.parametrize(
    'wrong', ['other network', 'old version', 'a vector for sr', 'range', 'text', 'gone']
)
def test_files_that_are_another_network(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / 'vad.onnx'
    if wrong == 'other network':
        pooled(path)
    elif wrong == 'text':
        path.write_text('weights')
    elif wrong == 'range':
        vad(path, most=100)
    elif wrong != 'gone':
        vad(path, *([('input', 'h', 'sr')] if wrong == 'old version' else [('input', 'state', 'sr'), 1]))
    with pytest.raises(AbawfwError) as error:
        MouthMoves(vad=str(path)).check()
    told = {'text': 'is no ONNX file', 'gone': 'no such file', 'range': 'gives'}.get(
        wrong,
        'expected is silero_vad.onnx of silero-vad 5 or later: inputs input (n, 576), state (2, n, 128)',
    )
    assert isinstance(error.value, CheckpointError)
    assert f'speech.vad: {path}: ' in str(error.value)
    assert told in str(error.value)
