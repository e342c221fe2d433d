"""Pictures and their times, as written, from files of every kind; and what is no video."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import (
    constant_rate,
    damaged,
    index_of,
    noisy,
    patched,
    plain,
    remuxed,
    write_sound,
    write_video,
)

from abawfw.errors import DataError
from abawfw.extraction.video.recording import Frame, Recording

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
    assert recording.stated == 40


def test_times_start_where_the_file_does(tmp_path: Path) -> None:
    times = np.array(constant_rate(5)) + 0.5
    late = write_video(tmp_path / 'late.mp4', plain(5), times, SILENCE)  # sound from 0 on
    np.testing.assert_allclose([f.time for f in Recording(late).frames()], times, atol=1e-5)
    alone = write_video(tmp_path / 'alone.mp4', plain(5), times)
    np.testing.assert_allclose([f.time for f in Recording(alone).frames()], times - 0.5, atol=1e-5)
    for name in ('a.mp4', 'a.mkv', 'a.ts', 'a.m2ts'):
        shifted = remuxed(tmp_path / name, late, later=20000)
        found = np.array([f.time for f in Recording(shifted).frames()])
        np.testing.assert_allclose(np.diff(found), np.diff(times), atol=1e-3)
        # without an edit list, the 1024 samples with which AAC begins are heard before the first one
        assert 0.499 < found[0] < 0.501 + 1024 / 48000


def assert_upright(frame: Frame) -> None:
    assert frame.size == (96, 64)
    rgb = frame.rgb()
    corners = [rgb[y, x, 0] for y in (4, 60) for x in (8, 88)]
    np.testing.assert_allclose(corners, [30, 100, 60, 200], atol=4)
    np.testing.assert_allclose(frame.rgb(longest=48)[28, [4, 44], 0], [60, 200], atol=4)


@pytest.mark.parametrize('rotation', [90, -90, 180])
def test_pictures_stand_upright(tmp_path: Path, rotation: int) -> None:
    path = write_video(tmp_path / 'turned.mp4', half(3, 60, 200), constant_rate(3), rotation=rotation)
    for frame in Recording(path).frames():
        assert_upright(frame)
        assert frame.rgb(longest=48).shape == (32, 48, 3)


FLIPS_AND_TURNS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [
    (0, b, c, 0) for b in (1, -1) for c in (1, -1)
]


@pytest.mark.parametrize('matrix', FLIPS_AND_TURNS)
def test_flips_are_flips(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write_video(tmp_path / 'flipped.mp4', half(3, 60, 200), constant_rate(3), matrix=matrix)
    recording = Recording(path)
    for frame in recording.frames():
        assert_upright(frame)
    assert recording.notes == []


@pytest.mark.parametrize(
    ('matrix', 'corners'),
    [
        ((0.9, 0.43, -0.43, 0.9), [30, 100, 60, 200]),  # by 25 degrees: none
        ((-0.9, 0.43, 0.43, 0.9), [100, 30, 200, 60]),  # the same, and flipped
        ((1, 0.3, 0, 1), [30, 100, 60, 200]),  # sheared
    ],
)
def test_other_matrices_are_reported(
    tmp_path: Path, matrix: tuple[float, float, float, float], corners: list[int]
) -> None:
    path = write_video(tmp_path / 'slanted.mp4', half(3, 60, 200), constant_rate(3), matrix=matrix)
    recording = Recording(path)
    rgb = next(recording.frames()).rgb()
    np.testing.assert_allclose([rgb[y, x, 0] for y in (4, 60) for x in (8, 88)], corners, atol=4)
    (note,) = recording.notes
    assert note == 'its display matrix is no flip or quarter turn: the nearest of these is taken'


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
    for frame in Recording(path).frames():
        assert frame.size == (128, 64)
        assert frame.rgb().shape == (64, 128, 3)
        np.testing.assert_allclose(frame.rgb()[40, [60, 67], 0], [60, 200], atol=8)
        assert frame.rgb(longest=64).shape == (32, 64, 3)


def test_a_stream_without_times_says_so(tmp_path: Path) -> None:
    recording = Recording(write_video(tmp_path / 'raw.h264', plain(5), constant_rate(5)))
    times = [f.time for f in recording.frames()]
    fps = 1 / times[1]
    np.testing.assert_allclose(times, np.arange(5) / fps)
    assert recording.notes == [f'no presentation times: frame i is taken to be shown at i / {fps:g} s']


@pytest.mark.parametrize('ending', ['avi', 'wmv'])
def test_containers_that_store_no_times_of_display(tmp_path: Path, ending: str) -> None:
    """H.264 with B-frames: the pictures come in order, and so do their times."""
    times = constant_rate(40, 25)
    path = write_video(tmp_path / f'a.{ending}', plain(40), times, b_frames=3)
    recording = Recording(path)
    seen = [(f.time, index_of(f.rgb())) for f in recording.frames()]
    assert [k for _, k in seen] == list(range(40))
    np.testing.assert_allclose([t for t, _ in seen], times, rtol=0, atol=0.0021)
    (note,) = recording.notes
    assert note.startswith('the file stores the order of decoding, not the times of frames: frame i is')


def test_frames_of_one_time_stay_frames(tmp_path: Path) -> None:
    whole = write_video(tmp_path / 'whole.mkv', plain(12), constant_rate(12, 25))

    def change(packet: av.Packet) -> bool:
        if packet.pts in (160, 320):  # frames 4 and 8 at the times of those before
            packet.pts, packet.dts = packet.pts - 40, packet.dts - 40
        return True

    recording = Recording(remuxed(tmp_path / 'same.mkv', whole, change=change))
    expected = np.arange(12) * 0.04
    expected[[4, 8]] = [0.121, 0.281]
    np.testing.assert_allclose([f.time for f in recording.frames()], expected, atol=1e-6)
    (note,) = recording.notes
    assert note == (
        '2 frames are not later than the one before, the first is frame 4 at 0.120 s after 0.120 s: taken to '
        'be shown 1 ms after it'
    )


def test_a_clock_that_goes_back_is_refused(tmp_path: Path) -> None:
    """Two recordings in one file: nothing tells when the second one was."""
    first = write_video(tmp_path / 'first.ts', plain(10), [t + 50 for t in constant_rate(10)])
    second = write_video(tmp_path / 'second.ts', plain(10), constant_rate(10))
    joined = tmp_path / 'joined.ts'
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(DataError, match=r'joined\.ts: its time stamps go back, frame 10 at .* rewrite it'):
        list(Recording(joined).frames())


def test_frames_without_a_time_or_a_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mpg', plain(30), constant_rate(30), b_frames=3)
    with pytest.raises(
        DataError, match=r'a\.mpg: frame 1 has no time, and the file states no rate; rewrite it'
    ):
        list(Recording(path).frames())


def test_the_largest_of_two_video_streams(tmp_path: Path) -> None:
    small = write_video(tmp_path / 'small.mp4', plain(9, (64, 48)), constant_rate(9), SILENCE)
    large = write_video(tmp_path / 'large.mp4', plain(5, (96, 64)), constant_rate(5))
    recording = Recording(remuxed(tmp_path / 'both.mp4', small, large))
    assert [(index_of(f.rgb()), f.size) for f in recording.frames()] == [(i, (96, 64)) for i in range(5)]
    assert recording.notes == ['2 video streams: number 2 is taken, the largest (96 x 64)']


def test_cover_images_are_no_video(tmp_path: Path) -> None:
    still = write_video(tmp_path / 'still.mp4', plain(1, (640, 480)), [0.0])
    with av.open(str(tmp_path / 'cover.mkv'), 'w') as file:
        stream = file.add_stream('mjpeg', rate=1, width=640, height=480, pix_fmt='yuvj420p')
        file.mux(stream.encode(av.VideoFrame.from_ndarray(next(Recording(still).frames()).rgb())))
        file.mux(stream.encode(None))
    cover = tmp_path / 'cover.mkv'
    moving = write_video(tmp_path / 'moving.mp4', plain(7), constant_rate(7), SILENCE)
    both = Recording(remuxed(tmp_path / 'both.mp4', moving, cover, covers=[cover]))
    assert [f.size[0] for f in both.frames()] == [96] * 7
    assert both.notes == []
    sound = write_sound(tmp_path / 'sound.mp3', SILENCE, codec='libmp3lame')
    song = Recording(remuxed(tmp_path / 'song.mp3', sound, cover, covers=[cover]))
    with pytest.raises(DataError, match=r'song\.mp3: has no video stream \(streams: audio, cover image\)'):
        next(song.frames())


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'old.avi', plain(5), constant_rate(5, 25), title='Xqxq ab')
    recording = Recording(patched(path, b'Xqxq ab', 'Café ñ!'.encode('latin-1')))
    assert sum(1 for _ in recording.frames()) == 5


def test_a_codec_without_a_decoder(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'new.mp4', plain(5), constant_rate(5), SILENCE, title='Xqxq ab')
    patched(path, b'avc1', b'zzz1')
    patched(path, b'Xqxq ab', 'Café ñ!'.encode('latin-1'))
    with pytest.raises(
        DataError, match=r'new\.mp4: there is no decoder for its video \(none \(zzz1 / .*convert'
    ):
        next(Recording(path).frames())


def test_a_gif(tmp_path: Path) -> None:
    path = tmp_path / 'a.gif'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('gif', rate=10, width=96, height=64, pix_fmt='gray')
        for picture in plain(6):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture).reformat(format='gray')))
        file.mux(stream.encode(None))
    recording = Recording(path)
    seen = [(f.time, index_of(f.rgb())) for f in recording.frames()]
    assert [k for _, k in seen] == list(range(6))
    np.testing.assert_allclose([t for t, _ in seen], np.arange(6) / 10, atol=1e-6)
    assert recording.notes == []


def test_a_colon_in_a_path_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / 'a.mp4', plain(5), constant_rate(5), SILENCE).rename('12:30:45.mp4')
    for name in ('12:30:45.mp4', './12:30:45.mp4'):
        assert sum(1 for _ in Recording(name).frames()) == 5


def test_a_file_cut_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = noisy(tmp_path / 'whole.mp4')
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
    path = damaged(tmp_path / 'whole.mp4')
    recording = Recording(path)
    count = sum(1 for _ in recording.frames())
    assert count < 30
    assert any('packets of the video could not be decoded' in note for note in recording.notes)
    assert 0 < recording.damaged <= 30 - count
    assert f'{count} frames could be decoded, the file states 30' in recording.notes


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'list.mp4').write_text('ffconcat version 1.0\nfile one.mp4\n')
    write_video(tmp_path / 'one.mp4', plain(1), [0.0])
    (tmp_path / 'text.mp4').write_text('hello\n' * 100)
    write_sound(tmp_path / 'sound.m4a', SILENCE)
    write_video(tmp_path / 'pictureless.mp4', [], [], SILENCE)
    (tmp_path / 'folder.mp4').mkdir()
    cases = {
        'missing.mp4': 'no such file',
        'folder.mp4': 'is a folder, a plain file is expected',
        'empty.mp4': 'empty file',
        'text.mp4': 'no video, or a damaged one',
        'list.mp4': 'is no video but a list of other files',
        'sound.m4a': r'has no video stream \(streams: audio\)',
        'pictureless.mp4': r'has no video stream \(streams: audio\)',
    }
    for name, message in cases.items():
        recording = Recording(tmp_path / name)
        with pytest.raises(DataError, match=f'{name}: {message}'):
            next(recording.frames())
        with pytest.raises(DataError, match=f'{name}: {message}'):
            _ = recording.stated


def test_no_frame_can_be_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'hollow.mp4', plain(3), constant_rate(3), front=True)
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat') + 4
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    with pytest.raises(DataError, match='no image in it can be decoded'):
        list(Recording(path).frames())


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
    assert (recording.stated, next(recording.frames()).size) == (472, (640, 360))
