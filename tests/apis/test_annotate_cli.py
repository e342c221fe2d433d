"""tools/annotate.py: which videos it takes, and what it says of those that a browser may not play."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from command_line import call
from extraction.made_videos import constant_rate, plain, write_sound, write_video, write_webm


def listed(page: Path) -> list[dict[str, Any]]:
    """The videos of a page, as its script reads them."""
    found = re.search(r'<script type="application/json" id="videos">(.*?)</script>', page.read_text())
    assert found
    return json.loads(found[1])


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the page with two videos, one of an odd name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'videos').mkdir()
    for name in ('a', 'b #1% "é"'):
        write_video(tmp_path / f'videos/{name}.mp4', plain(4), constant_rate(4, 10))
    return tmp_path / 'videos'


def test_the_page_finds_its_videos(videos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, 'annotate', 'videos', '--out', 'pages/labels.html')
    assert (done.code, done.out) == (0, 'written: pages/labels.html; open it in a browser\n')
    first, second = listed(tmp_path / 'pages/labels.html')
    assert first == {
        'id': 'a',
        'file': 'a.mp4',
        'path': '../videos/a.mp4',
        'bytes': (videos / 'a.mp4').stat().st_size,
        'seconds': pytest.approx(0.3 + 1 / 30, abs=1e-6),
        'problem': '',
        'command': 'mkdir -p playable && ffmpeg -i videos/a.mp4 -fps_mode passthrough -c:v libx264 '
        '-pix_fmt yuv420p -c:a aac -movflags +faststart playable/a.mp4',
    }
    assert second['path'] == '../videos/b%20%231%25%20%22%C3%A9%22.mp4'
    assert second['command'].endswith("""'playable/b #1% "é".mp4'""")
    text = (tmp_path / 'pages/labels.html').read_text()
    assert not re.search(r'(src|href)="(?!#)|url\(|https?:', text)


def test_the_length_of_a_recording_that_states_none(videos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    live = write_webm(videos / 'live.webm', plain(40), live=True)
    (videos / 'cut.webm').write_bytes(live.read_bytes()[:-100])
    with av.open(str(live)) as file:
        assert file.duration is None
    done = call(capfd, 'annotate', videos / 'live.webm', videos / 'cut.webm')
    assert (done.code, done.out) == (0, 'written: labels.html; open it in a browser\n')
    whole, cut = (video['seconds'] for video in listed(Path('labels.html')))
    assert whole == pytest.approx(40 / 30, abs=0.002)  # a WebM has times in milliseconds
    assert 0.5 < cut < whole


def rewritten(source: Path, path: Path, codec: str, pixels: str = 'yuv420p') -> Path:
    """The images of a video in another format."""
    with av.open(str(source)) as old, av.open(str(path), 'w') as new:
        stream = new.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        for image in old.decode(video=0):
            new.mux(stream.encode(image.reformat(format=pixels)))
        new.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ('name', 'codec', 'pixels', 'said'),
    [
        ('v.webm', 'libvpx-vp9', 'yuv420p', ''),
        ('v.mkv', 'libx264', 'yuv420p', 'browsers play MP4 and WebM, and this is matroska,webm (h264)'),
        ('v.mp4', 'mpeg4', 'yuv420p', 'its images are mpeg4, and browsers play h264, av1, vp9 in mp4'),
        ('v.mov', 'libx264', 'yuv444p', 'its images are h264 in yuv444p, which some browsers do not play'),
    ],
)
def test_what_a_browser_may_not_play(
    name: str, codec: str, pixels: str, said: str, videos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rewritten(videos / 'a.mp4', Path(name), codec, pixels)
    done = call(capfd, 'annotate', name)
    assert done.code == 0, done.err
    first, *more = done.out.splitlines()
    if said:
        assert first == f'{name}: {said}; convert it where the page cannot play it:'
        assert more[0] == f'  {listed(Path("labels.html"))[0]["command"]}'
    else:
        assert first.startswith('written: ')


def test_audio_that_is_not_heard_and_sizes_that_are_odd(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sound = np.zeros(4800, np.float32)
    path = write_video(
        tmp_path / 'v.mov', plain(4, (95, 63)), constant_rate(4, 40), sound, sound_codec='pcm_s16le'
    )
    done = call(capfd, 'annotate', path, '--out', tmp_path / 'labels.html')
    assert 'in yuv444p, which some' in done.out  # the images come first
    assert '-vf "pad=ceil(iw/2)*2:ceil(ih/2)*2"' in done.out
    path = write_video(tmp_path / 'w.mov', plain(4), constant_rate(4, 40), sound, sound_codec='pcm_s16le')
    done = call(capfd, 'annotate', path, '--out', tmp_path / 'labels.html')
    assert 'its audio is pcm_s16le, which browsers play without sound' in done.out


def test_bad_input(videos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.mp4').write_text('no video')
    write_sound(tmp_path / 'sound.mp4', np.zeros(4800))
    (tmp_path / 'other').mkdir()
    twin = rewritten(videos / 'a.mp4', tmp_path / 'other/a.webm', 'libvpx-vp9')
    for arguments, said in (
        ([], 'the following arguments are required: VIDEO'),
        (['none.mp4'], 'none.mp4: no such video or folder of videos'),
        (['empty'], 'empty: no video in it; files ending in'),
        (['text.mp4'], 'text.mp4: no video, or a damaged one'),
        (['videos', 'sound.mp4'], 'sound.mp4: has no video stream (streams: audio)'),
        (['videos', 'other'], f"videos/a.mp4 and {twin.relative_to(tmp_path)}: two videos of the name 'a'"),
        (
            ['videos', '--out', 'page.csv'],
            'page.csv: a page has a name that ends in .html, such as labels.html',
        ),
        (['videos', '--out', 'empty'], 'empty: is a folder; name a file'),
    ):
        done = call(capfd, 'annotate', *arguments)
        assert done.code == 2
        assert said in done.err
        assert 'Traceback' not in done.err
    assert not (tmp_path / 'labels.html').exists()
    assert call(capfd, 'annotate', 'videos', 'videos/a.mp4').code == 0  # one and the same file, twice
    assert [video['id'] for video in listed(tmp_path / 'labels.html')] == ['a', 'b #1% "é"']
