"""face_onnx: a network over faces in a file of the user's, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from made_networks import pooled, weights, with_weights_beside
from made_parts import MadeDetector
from made_videos import constant_rate, plain, write_video
from onnx import TensorProto, helper

from abawfw.apis.extract_for_run import extractors_of_run
from abawfw.errors import AbawfwError, ConfigError, DataError
from abawfw.extraction.extractors import build_extractor, face_onnx
from abawfw.extraction.extractors.face_onnx import PRESETS, Preset
from abawfw.extraction.faces.detectors import mtcnn
from abawfw.extraction.faces.track import FaceTrack, FaceView, crops
from abawfw.extraction.pipeline.extract import extract_video
from abawfw.extraction.pipeline.plan import ExtractionPlan
from abawfw.extraction.video.recording import Recording

SIDE = 24


def faces(count: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def by_hand(given: np.ndarray, numbers: int = 2) -> np.ndarray:
    """What `pooled` gives for images (n, height, width, 3) as they go in."""
    weight, bias = weights(3, numbers)
    return np.stack([image.astype(np.float64).mean((0, 1)) @ weight + bias for image in given])


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return pooled(tmp_path / 'net.onnx')


def made(file: Path, **options: Any) -> Any:
    return build_extractor('face_onnx', file=str(file), **options)


def test_pixels_go_in_as_they_are_said_to(net: Path, tmp_path: Path) -> None:
    given = faces(3)
    assert made(net).dims == (2,)
    np.testing.assert_allclose(made(net).extract(given), by_hand(given / 255), atol=1e-5)
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    found = made(net, mean=mean, std=std, colours='BGR', scale=127.5).extract(given)
    np.testing.assert_allclose(found, by_hand((given[..., ::-1] / 127.5 - mean) / std), atol=1e-5)
    last = pooled(tmp_path / 'last.onnx', ('n', SIDE, SIDE, 3), axes=(1, 2))
    np.testing.assert_allclose(made(last).extract(given), by_hand(given / 255), atol=1e-5)
    half = pooled(tmp_path / 'half.onnx', kind=TensorProto.FLOAT16)
    found = made(half).extract(given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(given / 255), atol=2e-3)


def fixed_inside(model: Any) -> None:
    """A reshape to one row, whatever the batch: as files are that were traced with one image."""
    model.graph.node[1].CopyFrom(helper.make_node('Reshape', ['mean', 'one'], ['pooled']))
    model.graph.initializer.append(helper.make_tensor('one', TensorProto.INT64, [2], [1, 3]))


@pytest.mark.parametrize(
    ('batch', 'change'),
    [('n', lambda _: None), (1, lambda _: None), ('n', fixed_inside)],
    ids=['free', 'one', 'one inside'],
)
def test_any_batch_axis_gives_the_same(batch: int | str, change: Callable, tmp_path: Path) -> None:
    extractor = made(pooled(tmp_path / 'net.onnx', (batch, 3, SIDE, SIDE), change=change))
    given = faces(5)
    np.testing.assert_allclose(extractor.extract(given), by_hand(given / 255), atol=1e-5)


def mixing(model: Any) -> None:
    """The mean over the batch is taken off."""
    model.graph.node[1].CopyFrom(helper.make_node('ReduceMean', ['mean'], ['all'], axes=[0]))
    model.graph.node.insert(2, helper.make_node('Sub', ['mean', 'all'], ['pooled']))


def test_a_face_never_depends_on_the_others(tmp_path: Path) -> None:
    extractor = made(pooled(tmp_path / 'net.onnx', change=mixing))
    _, bias = weights(3, 2)
    np.testing.assert_allclose(extractor.extract(faces(4)), np.tile(bias, (4, 1)), atol=1e-5)


def test_free_axes_need_a_size(tmp_path: Path) -> None:
    free = pooled(tmp_path / 'free.onnx', ('n', 3, 'h', 'w'))
    extractor = made(free, size=40)
    assert (extractor.view, extractor.settings()['size']) == (FaceView(40, False), 40)
    np.testing.assert_allclose(extractor.extract(faces(2, 40)), by_hand(faces(2, 40) / 255), atol=1e-5)
    assert made(free, size=16, face='boxed').view == FaceView(16, True)


def test_outputs(tmp_path: Path) -> None:
    two = pooled(tmp_path / 'two.onnx', outputs=[('va', 2), ('scores', 8)])
    given = faces(2)
    va, scores = by_hand(given / 255, 2), by_hand(given / 255, 8)
    for options, expected in (
        ({}, va),
        ({'output': 1}, scores),
        ({'output': 'scores', 'columns': [7, 0]}, scores[:, [7, 0]]),
        ({'output': ['scores', 'va'], 'columns': (9, 1)}, np.stack([va[:, 1], scores[:, 1]], 1)),
        ({'output': 'penultimate'}, (given / 255).mean((1, 2))),
        ({'output': 'mean', 'columns': 2}, (given / 255).mean((1, 2))[:, 2:]),
    ):
        extractor = made(two, **options)
        assert extractor.dims == expected.shape[1:]
        np.testing.assert_allclose(extractor.extract(given), expected, atol=1e-5)


def test_weights_beside_the_file(net: Path, tmp_path: Path) -> None:
    expected = made(net).extract(faces(2))
    alone = made(net).settings()
    beside = made(with_weights_beside(net, 'net.data'))
    np.testing.assert_array_equal(beside.extract(faces(2)), expected)
    before = beside.settings()['file']
    assert before != alone['file']
    (tmp_path / 'net.data').write_bytes(bytes((tmp_path / 'net.data').stat().st_size))
    assert made(net).settings()['file'] != before


def test_settings_are_those_of_a_run(net: Path, tmp_path: Path) -> None:
    """The network by its content; what a store records makes the same extractor, given the file again."""
    extractor = made(net, mean=[0.1, 0.2, 0.3], face='boxed', columns=1)
    recorded = json.loads(json.dumps(extractor.settings()))
    assert recorded['file'] == hashlib.sha256(net.read_bytes()).hexdigest()[:16]
    copy = shutil.copy(net, tmp_path / 'copy.onnx')
    options = {'face_onnx': {'file': str(copy)}}
    chosen, notes = extractors_of_run(tmp_path, ['face_onnx'], [], {'face_onnx': recorded}, options=options)
    assert chosen['face_onnx'].settings() == extractor.settings()
    assert notes == []
    with pytest.raises(DataError, match=r'face_onnx: .*needs file=FILE\.onnx'):
        extractors_of_run(tmp_path, ['face_onnx'], [], {'face_onnx': recorded})
    pooled(tmp_path / 'copy.onnx', outputs=[('other', 2)])
    with pytest.raises(DataError, match='was extracted for training with file'):
        extractors_of_run(tmp_path, ['face_onnx'], [], {'face_onnx': recorded}, options=options)


def message(file: Path | None, **options: Any) -> str:
    with pytest.raises(AbawfwError) as caught:
        build_extractor('face_onnx', **({} if file is None else {'file': str(file)}), **options).check()
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ('shape', 'more', 'options', 'told'),
    [
        (('n', 3, 24), {}, {}, 'net.onnx: takes \'input\' (n, 3, 24) of tensor(float); images are expected'),
        (('n', 3, 'h', 'w'), {}, {}, "(n, 3, h, w) of tensor(float), images of any size; give the one"),
        (('n', 3, 24, 24), {}, {'size': 32}, 'not faces of 32 x 32'),
        (('n', 3, 24, 20), {}, {}, 'not faces of 20 x 20, a square'),
        (('n', 3, 24, 3), {}, {}, 'does not say where the colours are; give layout=NCHW or NHWC'),
        (('n', 1, 24, 24), {}, {'layout': 'NCHW'}, '1 colours as NCHW; 3 are expected'),
        ((8, 3, 24, 24), {}, {}, '8 at a time; its first axis must vary or be 1'),
        (('n', 3, 24, 24), {'kind': TensorProto.DOUBLE}, {}, 'of tensor(double); tensor(float) or'),
        (('n', 3, 24, 24), {}, {'output': 'outputt'}, "no output 'outputt'; did you mean 'output'?"),
        (('n', 3, 24, 24), {}, {'output': 1}, 'output=1: it has 1, counted from 0'),
        (('n', 3, 24, 24), {}, {'columns': [0, 2]}, 'columns=[0, 2]: 2 of 2, counted from 0'),
        (('n', 3, 24, 24), {}, {'output': 'input_q'}, "no output 'input_q'"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit(shape: tuple, more: dict, options: dict, told: str, tmp_path: Path) -> None:
    assert told in message(pooled(tmp_path / 'net.onnx', shape, **more), **options)


def with_map(model: Any) -> None:
    """The output is an image for each face."""
    model.graph.output[0].name = 'map'
    model.graph.node.append(helper.make_node('Relu', ['input'], ['map']))


def with_custom(model: Any) -> None:
    model.graph.node.append(helper.make_node('Emotion', ['output'], ['more'], domain='my.ops'))
    model.opset_import.append(helper.make_opsetid('my.ops', 1))


def with_unknown(model: Any) -> None:
    model.graph.node[1].op_type = 'Emotion'


def with_two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info('mask', TensorProto.FLOAT, ['n']))


@pytest.mark.parametrize(
    ('change', 'options', 'told'),
    [
        (
            with_map,
            {'output': 'map'},
            "output 'map' has shape (1, 3, 24, 24) for 1 inputs; a vector for each",
        ),
        (with_map, {'output': 'penultimate'}, 'it ends with Relu; give the name or number of an output'),
        (with_custom, {}, 'has operators of its own, my.ops.Emotion'),
        (with_unknown, {}, 'onnxruntime cannot run it: [ONNXRuntimeError]'),
        (with_two_inputs, {}, "has 2 inputs, 'input' (n, 3, 24, 24) of tensor(float); 'mask' (n)"),
    ],
)
def test_networks_that_cannot_be_run(change: Callable, options: dict, told: str, tmp_path: Path) -> None:
    assert told in message(pooled(tmp_path / 'net.onnx', change=change), **options)


def test_files_that_are_no_network(tmp_path: Path) -> None:
    assert 'needs file=FILE.onnx' in message(None)
    assert 'gone.onnx: no such file' in message(tmp_path / 'gone.onnx')
    assert 'is a folder' in message(tmp_path)
    path = tmp_path / 'net.onnx'
    for content, told in (
        (b'', 'is empty, 0 bytes'),
        (
            b'version https://git-lfs.github.com/spec/v1',
            "is no ONNX file, or a damaged one; it begins with b'ver",
        ),
        (b'\x08\x07', 'is no ONNX file'),
        (pooled(path).read_bytes()[:-30], 'is no ONNX file, or a damaged one'),
    ):
        path.write_bytes(content)
        assert told in message(path)


def test_weights_elsewhere_are_not_read(net: Path, tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    inside = tmp_path / 'in/net.onnx'
    for place in ('../net.data', str(tmp_path / 'net.data'), 'link'):
        pooled(inside)
        with_weights_beside(inside, place)
        shutil.move(tmp_path / 'in/net.data', tmp_path / 'net.data')
        if place == 'link':
            (tmp_path / 'in/link').symlink_to('../net.data')
        assert f'has weights in {place!r}, outside its folder; they must lie beside it' in message(inside)
    pooled(inside)
    assert "has weights in 'gone' beside it, and there is no such file" in message(
        with_weights_beside(inside, 'gone')
    )


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'colours': 'RBG'}, "colours 'RBG'; did you mean 'RGB'?"),
        ({'layout': 'HWC'}, "layout 'HWC'; did you mean 'NHWC'?"),
        ({'face': 'boxd'}, "face 'boxd'; did you mean 'boxed'?"),
        ({'mean': [1, 2]}, 'mean=[1, 2]: a number, or three, one per colour'),
        ({'std': 'one'}, "std='one': must be a number or a list"),
        ({'std': 0}, 'scale is more than 0, and std is not 0'),
        ({'size': 0}, 'size=0: must be 1 or more'),
        ({'columns': 'a'}, "columns='a': must be a whole number or a list"),
        ({'columns': 1.5}, 'columns=1.5: must be a whole number or a list'),
        ({'output': 1.5}, 'output=1.5: must be a text or a whole number or a list'),
        ({'preset': ['a']}, "preset=['a']: must be a text"),
        ({'mean': {}}, 'mean={}: must be a number or a list'),
        ({'threads': 0}, 'threads=0: must be 1 or more'),
        ({'preset': 'enet_b0_8'}, "preset 'enet_b0_8'; did you mean 'enet_b2_8'?"),
    ],
)
def test_settings_that_are_none(options: dict, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_extractor('face_onnx', **options)
    assert told in str(caught.value)


def test_a_preset_is_that_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its hash, or without one by its input and output; what is given comes before it."""
    wrong = message(pooled(tmp_path / 'enet_b0_8_va_mtl.onnx'))
    assert 'sha256 is ' in wrong
    assert 'expected c43e056ad388d4a8dc911832b8291435b2af537f967e5870ebd731574ec7e812' in wrong
    assert 'with preset=none' in wrong
    assert made(tmp_path / 'enet_b0_8_va_mtl.onnx', preset='none').dims == (2,)
    known = pooled(tmp_path / 'mbf_va_mtl.onnx', ('n', 3, 112, 112), [('output', 10)])
    extractor = made(known)
    assert (extractor.dims, extractor.view) == ((3,), FaceView(112, True))
    given = faces(1, 112)
    expected = ((given / 255 - 0.5) / 0.5).mean((1, 2))
    np.testing.assert_allclose(extractor.extract(given), expected, atol=1e-5)
    np.testing.assert_allclose(
        made(known, mean=0, std=1).extract(given), (given / 255).mean((1, 2)), atol=1e-5
    )
    assert made(known, face='aligned', output=0).dims == (10,)
    other = pooled(tmp_path / 'mobilevit_va_mtl.onnx', ('n', 3, 112, 112), [('output', 10)])
    assert "takes 'input' (n, 3, 112, 112)" in message(other)
    assert 'expected one input "input" (n, 3, 224, 224) and one output of 10' in message(other)
    digest = hashlib.sha256(known.read_bytes()).hexdigest()
    monkeypatch.setitem(face_onnx.PRESETS, 'own', Preset('here', digest, 10, 112, {'output': 0}, (8, 9)))
    assert made(known, preset='own').dims == (10,)


def test_the_presets_are_well_formed() -> None:
    for name, preset in PRESETS.items():
        assert preset.sha256 is None or len(bytes.fromhex(preset.sha256)) == 32
        assert preset.source.startswith('https://')
        assert (preset.va is not None) == name.endswith('_va_mtl')


def test_the_page_lists_the_presets() -> None:
    page = (Path(__file__).resolve().parents[2] / 'configs/own/README.md').read_text(encoding='utf-8')
    rows = [line.strip('| ').split(' | ') for line in page.splitlines() if line.startswith('| `')]
    found = {row[0].strip('`'): row[2:] for row in rows if row[0].endswith('.onnx`')}
    assert list(found) == [f'{name}.onnx' for name in PRESETS]
    for (taken, _, has_va, digits), preset in zip(found.values(), PRESETS.values(), strict=True):
        assert taken == f'{preset.size}, {preset.settings.get("face", "aligned")}'
        assert has_va == ('no' if preset.va is None else 'yes')
        assert digits == ('not known' if preset.sha256 is None else f'`{preset.sha256[:12]}...`')


def test_on_the_cpu_where_there_is_no_cuda(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes(device: str) -> list[str]:
        plan = ExtractionPlan(tmp_path, ('face_onnx',), {'face_onnx': {'file': str(net)}}, device=device)
        return [note for note in plan.notes if 'onnxruntime-gpu' in note]

    for there, expected in (('cuda', 2), ('cpu', 0)):
        monkeypatch.setattr(mtcnn, 'find_device', lambda there=there: there)
        assert [len(notes(device)) for device in ('cuda', 'auto', 'cpu')] == [2, expected, 0]
    # one that has CUDA and cannot load it
    monkeypatch.setattr(
        mtcnn, 'providers', lambda device: [('CUDAExecutionProvider', {}), 'CPUExecutionProvider']
    )
    session = SimpleNamespace(get_providers=lambda: ['CPUExecutionProvider'])
    assert mtcnn.cpu_note('it runs', 'cuda') == ()
    assert mtcnn.cpu_note('it runs', 'cuda', session)[0].startswith('it runs on the CPU: ')


def test_official_crops_are_no_boxes(net: Path, tmp_path: Path) -> None:
    options = {'face_onnx': {'file': str(net), 'face': 'boxed'}}
    plan = ExtractionPlan(tmp_path, ('face_onnx',), options, crops=tmp_path)
    with pytest.raises(ConfigError, match=r'face_onnx: takes the boxes .* give face_onnx\.face=aligned'):
        plan.check()


def test_boxes(tmp_path: Path) -> None:
    """What of them lies in the image, stretched; shrunk by area."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8), (96, 64))
    recording = Recording(write_video(tmp_path / 'a.mp4', [picture] * 3, constant_rate(3)))
    (rgb, *_) = [frame.rgb() for frame in recording.frames()]
    track = FaceTrack.empty(np.arange(3) / 30)
    track.boxes[:] = [[10.2, 5.1, 40.4, 45], [-20, 30, 30, 90], [np.nan] * 4]
    track.found[:2] = True
    seen = list(crops(recording, [(track, FaceView(side, boxed=True)) for side in (20, 48)]))
    for index, part in ((0, rgb[5:45, 10:40]), (1, rgb[30:, :30])):
        expected = cv2.resize(part, (20, 20), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(seen[index][0], expected)
    assert not any(face.any() for face in seen[2])
    expected = cv2.resize(rgb[5:45, 10:40], (48, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(seen[0][1], expected)


def test_two_ways_to_cut_out_in_one_store(net: Path, tmp_path: Path) -> None:
    (tmp_path / 'alone').mkdir()
    video = write_video(tmp_path / 'a.mp4', plain(4), constant_rate(4))
    extractors = [build_extractor('face48'), made(net, face='boxed')]
    extract_video(video, extractors, MadeDetector(), tmp_path)
    rows = np.load(tmp_path / 'a/face_onnx.npy')
    with np.load(tmp_path / 'a/face_track.npz') as stored:
        assert stored['found'].all()
        boxes = stored['boxes'].round().astype(int)
    frames = [frame.rgb() for frame in Recording(video).frames()]
    shown = [rgb[y:bottom, x:right] for rgb, (x, y, right, bottom) in zip(frames, boxes, strict=True)]
    cut = np.stack([cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for face in shown])
    np.testing.assert_allclose(rows, by_hand(cut / 255), atol=1e-5)
    extract_video(video, extractors[:1], MadeDetector(), tmp_path / 'alone')
    np.testing.assert_array_equal(
        np.load(tmp_path / 'a/face48.npy'), np.load(tmp_path / 'alone/a/face48.npy')
    )
