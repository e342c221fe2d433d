"""Pictures and their times, as written, from files of every kind; and what is no video."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import constant_rate, index_of, plain, write_sound, write_video

from abawfw.errors import DataError
from abawfw.features.recording import Recording

SILENCE = np.zeros(24000, np.float32)


def half(count: int, left: int, right: int, size: tuple[int, int] = (96, 64)) -> list[np.ndarray]:
    """Pictures with a left and a right half of different grey, the upper quarter of both darker."""
    width, height = size
    picture = np.full((height, width, 3), left, np.uint8)
    picture[:, width // 2 :] = right
    picture[: height // 4] //= 2
    return [picture] * count


@pytest.mark.parametrize('kind', ['23.976', '29.97', 'variable'])
@pytest.mark.parametrize('b_frames', [0, 3])
def test_every_frame_comes_with_its_time(tmp_path: Path, kind: str, b_frames: int) -> None:
    if kind == 'variable':
        steps = np.random.default_rng(0).choice([1 / 60, 1 / 30, 1 / 15, 0.2], 39)
        times = np.concatenate([[0.0], np.cumsum(steps)])
    else:
        times = np.array(constant_rate(40, Fraction(24000 if kind == '23.976' else 30000, 1001)))
    path = write_video(tmp_path / 'a.mp4', plain(40), times, SILENCE, b_frames=b_frames)
    with av.open(str(path)) as file:
        stamps = [p.pts for p in file.demux(video=0) if p.pts is not None]
    assert (stamps != sorted(stamps)) == (b_frames > 0)
    recording = Recording(path)
    seen = [(f.index, f.time, index_of(f.rgb())) for f in recording.frames()]
    assert [i for i, _, _ in seen] == list(range(40))
    assert [k for _, _, k in seen] == list(range(40))
    # the clock of the file has 90,000 ticks a second
    np.testing.assert_allclose([t for _, t, _ in seen], times, rtol=0, atol=0.5001 / 90000)
    assert recording.notes == []
    assert recording.info.frames == 40
    assert recording.info.sound_streams == 1


def test_times_do_not_start_at_zero(tmp_path: Path) -> None:
    times = np.array(constant_rate(5)) + 0.5
    recording = Recording(write_video(tmp_path / 'late.mp4', plain(5), times, SILENCE))
    np.testing.assert_allclose([f.time for f in recording.frames()], times, atol=1e-5)


@pytest.mark.parametrize('rotation', [90, -90, 180])
def test_pictures_stand_upright(tmp_path: Path, rotation: int) -> None:
    path = write_video(tmp_path / 'turned.mp4', half(3, 60, 200), constant_rate(3), rotation=rotation)
    recording = Recording(path)
    assert (recording.info.width, recording.info.height) == (96, 64)
    assert recording.info.rotation % 360 == rotation % 360
    for frame in recording.frames():
        assert frame.size == (96, 64)
        rgb = frame.rgb()
        corners = [rgb[y, x, 0] for y in (4, 60) for x in (8, 88)]
        np.testing.assert_allclose(corners, [30, 100, 60, 200], atol=4)
        assert frame.rgb(longest=48).shape == (32, 48, 3)
        np.testing.assert_allclose(frame.rgb(longest=48)[28, [4, 44], 0], [60, 200], atol=4)


@pytest.mark.parametrize('size', [(97, 65), (33, 150), (64, 64)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / 'odd.mp4', half(2, 60, 200, size), constant_rate(2))
    width, height = size
    for frame in Recording(path).frames():
        assert frame.size == size
        assert frame.rgb().shape == (height, width, 3)
        np.testing.assert_allclose(frame.rgb()[-3, [3, -3], 0], [60, 200], atol=4)
        small = frame.rgb(longest=40)
        assert max(small.shape) == 40
        assert abs(small.shape[0] / small.shape[1] - height / width) < 0.15 * height / width
        # smaller pictures are not enlarged
        assert frame.rgb(longest=1000).shape == (height, width, 3)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / 'wide.mp4', half(2, 60, 200), constant_rate(2), rotation=0, pixel_ratio=Fraction(4, 3)
    )
    recording = Recording(path)
    assert (recording.info.width, recording.info.height) == (128, 64)
    for frame in recording.frames():
        assert frame.rgb().shape == (64, 128, 3)
        np.testing.assert_allclose(frame.rgb()[40, [60, 67], 0], [60, 200], atol=8)
        assert frame.rgb(longest=64).shape == (32, 64, 3)


def test_a_stream_without_times_says_so(tmp_path: Path) -> None:
    recording = Recording(write_video(tmp_path / 'raw.h264', plain(5), constant_rate(5)))
    times = [f.time for f in recording.frames()]
    fps = recording.info.fps
    assert fps
    np.testing.assert_allclose(times, np.arange(5) / fps)
    assert recording.notes == [f'no presentation times: frame i is taken to be shown at i / {fps:g} s']


def test_a_file_cut_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), dtype=np.uint8)
    path = write_video(tmp_path / 'whole.mp4', noise, constant_rate(30), front=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    recording = Recording(path)
    for _ in range(2):
        count = sum(1 for _ in recording.frames())
        assert 5 < count < 25
    told = [
        n for n in recording.notes if n.startswith(f'{count} frames could be decoded, the file states 30')
    ]
    assert len(told) == 1
    assert told[0].endswith(', it may be cut off')


def test_damaged_packets_are_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), dtype=np.uint8)
    path = write_video(tmp_path / 'whole.mp4', noise, constant_rate(30), front=True)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20000] = bytes(20000)
    path.write_bytes(content)
    recording = Recording(path)
    count = sum(1 for _ in recording.frames())
    assert count < 30
    assert any('packets of the video could not be decoded' in note for note in recording.notes)
    assert 0 < recording.damaged <= 30 - count
    assert f'{count} frames could be decoded, the file states 30' in recording.notes


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'text.mp4').write_text('hello\n' * 100)
    write_sound(tmp_path / 'sound.m4a', SILENCE)
    write_video(tmp_path / 'pictureless.mp4', [], [], SILENCE)
    (tmp_path / 'folder.mp4').mkdir()
    cases = {
        'missing.mp4': 'no such file',
        'folder.mp4': 'is a folder, a plain file is expected',
        'empty.mp4': 'empty file',
        'text.mp4': 'no video, or a damaged one',
        'sound.m4a': r'has no video stream \(streams: audio\)',
        'pictureless.mp4': r'has no video stream \(streams: audio\)',
    }
    for name, message in cases.items():
        recording = Recording(tmp_path / name)
        with pytest.raises(DataError, match=f'{name}: {message}'):
            next(recording.frames())
        with pytest.raises(DataError, match=f'{name}: {message}'):
            _ = recording.info


def test_no_frame_can_be_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'hollow.mp4', plain(3), constant_rate(3), front=True)
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat') + 4
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    with pytest.raises(DataError, match='no picture in it can be decoded'):
        list(Recording(path).frames())
    with pytest.raises(DataError, match='no picture in it can be decoded'):
        _ = Recording(path).info


def test_one_frame(tmp_path: Path) -> None:
    frames = list(Recording(write_video(tmp_path / 'one.mp4', plain(1), [0.0])).frames())
    assert [(f.index, f.time) for f in frames] == [(0, 0.0)]


def test_never_more_than_one_picture_is_kept(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'long.mp4', plain(200), constant_rate(200))
    alive: weakref.WeakSet = weakref.WeakSet()
    most = 0
    gc.disable()  # pictures go by themselves, not when the collector comes by
    try:
        for frame in Recording(path).frames():
            alive.add(frame)
            frame.rgb()
            most = max(most, len(alive))
    finally:
        gc.enable()
    # the name `frame` of this loop still holds the last one while the next is made
    assert most <= 2


def test_the_clips(shared: Path) -> None:
    recording = Recording(shared / 'media' / 'WolfgangLanger_Pexels.mp4')
    times = [f.time for f in recording.frames()]
    np.testing.assert_allclose(times, np.arange(472) * 1001 / 24000, atol=1e-4)
    assert recording.notes == []
    assert (recording.info.frames, recording.info.width, recording.info.height) == (472, 640, 360)
