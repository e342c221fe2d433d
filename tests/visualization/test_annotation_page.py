"""The page on which videos are rated, in a real browser that plays real clips."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from extraction.made_videos import constant_rate, plain, write_video, write_webm

from abawfw.apis.annotate import write_annotation_page

if TYPE_CHECKING:
    from browser import Opened, OpenPage

pytest_plugins = ['browser']
pytestmark = pytest.mark.slow
LONG, SHORT = 'WolfgangLanger_Pexels', 'single_face'
SPEED = 4.0
# A second clock: the player's time when a move of the pointer arrives, which was made then or as much earlier
# as the event is old. Read before and after the page does.
LISTEN = """() => {
    window.moves = [];
    const listen = (event) => {
        if (event.target.id !== 'pad' || video.paused || video.ended) return;
        const [at, now] = [video.currentTime, performance.now()];
        const coalesced = event.getCoalescedEvents();
        for (const { timeStamp, clientX, clientY } of coalesced.length ? coalesced : [event]) {
            moves.push([timeStamp, clientX, clientY, at, now]);
        }
    };
    addEventListener('pointermove', listen, true);
    addEventListener('pointermove', listen);
}"""


@pytest.fixture(scope='module')
def labels(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two clips, a format the browser does not know, a file that is gone, and odd recordings."""
    folder = tmp_path_factory.mktemp('labels')
    videos = [shutil.copy(shared / f'media/{name}.mp4', folder) for name in (LONG, SHORT)]
    videos.append(write_video(folder / 'old.avi', plain(8), constant_rate(8)))
    videos.append(shutil.copy(shared / f'media/{SHORT}.mp4', folder / "moved 'away'#1.mp4"))
    videos.append(write_webm(folder / 'live.webm', plain(60), live=True))
    videos.append(write_webm(folder / 'cut.webm', plain(90)))
    page = write_annotation_page(videos, folder / 'labels.html')
    write_webm(videos[-2], plain(150), live=True)  # the recording went on
    videos[-1].write_bytes(videos[-1].read_bytes()[: videos[-1].stat().st_size // 2])
    (folder / 'elsewhere').mkdir()
    Path(videos[3]).rename(folder / 'elsewhere' / Path(videos[3]).name)
    return page


@pytest.fixture(scope='module')
def tab(open_for_all: OpenPage, labels: Path) -> Opened:
    return open_for_all(labels)


@pytest.fixture
def opened(tab: Opened) -> Opened:
    """The page as a reader finds it who has rated nothing."""
    tab.page.evaluate('() => { video.pause(); return new Promise((next) => setTimeout(next, 20)); }')
    tab.page.evaluate('localStorage.clear()')
    tab.errors.clear()
    tab.load()
    return tab


def until(opened: Opened, what: str) -> None:
    """Wait for something to be true in the page."""
    opened.page.wait_for_function(f'() => {what}')


def begin(opened: Opened, video: str, rater: str = 'anna', targets: str = 'valence,arousal') -> None:
    """Choose what is rated, at the speed of the tests."""
    page = opened.page
    page.locator('#choice').select_option(label=video if '.' in video else f'{video}.mp4')
    until(opened, 'video.readyState >= 3')
    page.locator('#rater').fill(rater)
    page.locator('#targets').select_option(targets)
    page.evaluate(f'video.playbackRate = {SPEED}')


def put(opened: Opened, target: str, value: float) -> None:
    """Move a slider."""
    opened.page.locator(f'#{target}').fill(str(value))


def rate_to_the_end(opened: Opened) -> None:
    opened.page.locator('#rate').click()
    until(opened, 'video.ended && document.getElementById("rate").textContent === "Rate"')


def saved(opened: Opened, number: int = 0) -> tuple[str, list[str], list[str], np.ndarray]:
    """What a download gives: name, comments, header, and a row per sample, NaN in an empty cell."""
    with opened.page.expect_download() as download:
        opened.page.get_by_role('button', name='Download ').nth(number).click()
    text = Path(download.value.path()).read_text(encoding='utf-8').splitlines()
    comments = [line for line in text if line.startswith('#')]
    header, *rows = [line.split(',') for line in text if not line.startswith('#')]
    table = np.array([[float(cell or 'nan') for cell in row] for row in rows])
    return download.value.suggested_filename, comments, header, table


def said(opened: Opened) -> str:
    return opened.page.locator('#status').text_content()


def alert(opened: Opened) -> str:
    shown = opened.page.locator('#alert p')
    shown.wait_for()
    return shown.text_content()


def seconds_of(opened: Opened) -> float:
    return opened.page.evaluate('video.currentTime')


def test_a_path_of_the_pointer_comes_back(opened: Opened) -> None:
    """At every sample within 40 ms of the video's clock and .01, with the video at four times its speed."""
    page = opened.page
    begin(opened, LONG)
    page.evaluate(LISTEN)
    page.locator('#rate').click()
    box = page.locator('#pad').bounding_box()
    start, deadline = time.monotonic(), time.monotonic() + 60
    while not page.evaluate('video.ended') and time.monotonic() < deadline:
        t = (time.monotonic() - start) * SPEED
        x, y = 0.9 * math.sin(t / 2), 0.5 if t % 6 < 2 else 0.9 * math.cos(t)
        page.mouse.move(
            box['x'] + (x + 1) / 2 * box['width'], box['y'] + (1 - y) / 2 * box['height'], steps=6
        )
    until(opened, 'document.getElementById("rate").textContent === "Rate"')
    name, comments, header, table = saved(opened)
    assert name == f'{LONG}.anna.1.csv'
    assert comments == [f'# video: {LONG}', f'# file: {LONG}.mp4', '# rater: anna', '# pass: 1', '# rate: 30']
    assert header == ['time', 'valence', 'arousal']
    duration = page.evaluate('video.duration')
    np.testing.assert_allclose(table[:, 0], np.arange(math.ceil(duration * 30)) / 30, atol=1e-6)
    read: dict[tuple[float, ...], list[tuple[float, float]]] = {}
    for stamp, x, y, at, now in page.evaluate('moves'):
        read.setdefault((stamp, x, y), []).append((at, now))
    first, last = (np.array([limit(of, axis=0) for of in read.values()]).T for limit in (np.min, np.max))
    ages = (last[1] - [stamp for stamp, *_ in read]) / 1000
    early = np.r_[-1, first[0] - ages * SPEED]
    late = np.r_[last[0], np.inf]  # of the next move, which ends this one
    _, x, y = np.array(list(read)).T
    x, y = (x - box['x']) / box['width'] * 2 - 1, 1 - (y - box['y']) / box['height'] * 2
    held = np.r_[[[0, 0]], np.c_[x, y]].clip(-1, 1)
    assert len(held) > 10
    assert np.ptp(table[:, 1:], axis=0).min() > 0.5
    for t, *rated in table:
        near = (early <= t + 0.04) & (late >= t - 0.04)
        assert np.abs(held[near] - rated).max(axis=1).min() <= 0.01, t
    assert opened.errors == []
    assert {address.partition(':')[0] for address in opened.requests} <= {'file', 'blob'}


def test_keys_alone(opened: Opened) -> None:
    """From the choice of the video to the downloaded file, without a pointer."""
    page, keys = opened.page, opened.page.keyboard

    def to(wanted: str) -> None:
        for _ in range(40):
            if page.evaluate('document.activeElement.id || document.activeElement.ariaLabel') == wanted:
                return
            keys.press('Tab')
        raise AssertionError(f'Tab does not reach {wanted}')

    to('choice')
    keys.press('ArrowDown')  # the second video
    until(opened, f'video.currentSrc.includes("{SHORT}") && video.readyState >= 3')
    to('rater')
    keys.type('Zoë_2')
    to('speed')
    keys.press('ArrowDown')
    keys.press('ArrowDown')
    assert page.evaluate('video.playbackRate') == 2
    page.keyboard.press('Shift+Tab')
    to('position')
    page.evaluate('document.activeElement.blur()')
    keys.press('Space')
    keys.down('ArrowRight')
    keys.press('ArrowUp')
    until(opened, 'video.currentTime > 0.6')
    keys.up('ArrowRight')
    keys.press('Space')
    assert said(opened).startswith('Paused at 0:0')
    keys.press('Space')
    until(opened, 'video.ended')
    to(f'Download {SHORT}.mp4, Zoë_2, pass 1')
    with page.expect_download() as download:
        keys.press('Enter')
    assert download.value.suggested_filename == f'{SHORT}.Zoë_2.1.csv'
    _, _, _, table = saved(opened)
    valence, arousal = table[:, 1], table[:, 2]
    assert (np.diff(valence) >= 0).all()
    assert valence[0] <= 0.02 < 0.15 < valence[-1]
    assert 0.0199 < arousal[-1] < 0.5  # one press; more only if the machine lets go of it late
    assert len(table) == math.ceil(page.evaluate('video.duration') * 30)
    assert opened.errors == []


def test_a_pause_ended_at_once_is_no_pause(opened: Opened) -> None:
    """The browser tells of it when the video plays again."""
    begin(opened, SHORT)
    opened.page.evaluate("() => { for (let i = 0; i < 3; i += 1) document.getElementById('rate').click(); }")
    until(opened, 'video.currentTime > 0.3')
    assert opened.page.evaluate('video.paused') is False
    assert opened.page.locator('#rate').text_content() == 'Pause'
    opened.page.evaluate("document.getElementById('rate').click()")
    until(opened, 'video.paused')
    assert said(opened).startswith('Paused at 0:0')


def test_space_rates_after_a_click_and_once_however_long_it_is_held(opened: Opened) -> None:
    begin(opened, SHORT)
    page, keys = opened.page, opened.page.keyboard
    page.locator('#rate').click()
    until(opened, 'video.currentTime > 0.2')
    page.locator('#rate').click()
    until(opened, 'video.paused')
    page.get_by_role('button', name='New pass').click()
    passes = page.locator('#passes li').count()
    keys.down('Space')
    for _ in range(4):
        keys.down('Space')  # as the system repeats it
    keys.up('Space')
    until(opened, '!video.paused')
    assert page.locator('#passes li').count() == passes
    keys.press('Space')
    until(opened, 'video.paused')


def test_what_is_rated_again_can_be_brought_back(opened: Opened) -> None:
    page = opened.page
    begin(opened, SHORT, targets='valence')
    put(opened, 'valence', 0.5)
    rate_to_the_end(opened)
    _, _, header, first = saved(opened)
    assert header == ['time', 'valence']
    assert (first[:, 1] == 0.5).all()
    page.locator('#position').fill('1')
    put(opened, 'valence', -0.25)
    page.locator('#rate').click()
    until(opened, 'video.ended')
    assert page.locator('#undo').is_enabled()
    _, _, _, second = saved(opened)
    np.testing.assert_array_equal(second[:, 1], np.where(first[:, 0] < 1 - 1e-6, 0.5, -0.25))
    page.locator('#undo').click()
    np.testing.assert_array_equal(saved(opened)[3], first)
    opened.load()  # as if the tab had been closed
    np.testing.assert_array_equal(saved(opened)[3], first)
    page.keyboard.press('Control+y')
    np.testing.assert_array_equal(saved(opened)[3], second)
    assert said(opened) == 'Version 2 of 2: 0:02.4 rated.'
    page.locator('#new').click()
    begin(opened, SHORT, 'ben')
    page.locator('#position').fill('2')
    rate_to_the_end(opened)
    _, comments, _, third = saved(opened, 2)
    assert '# rater: ben' in comments
    assert np.isnan(third[third[:, 0] < 2 - 1e-6, 1:]).all()  # never rated, and no value made up
    assert (third[third[:, 0] >= 2, 1:] == 0).all()
    items = page.locator('#passes li').all_text_contents()
    assert [item.partition(':')[0] for item in items] == [
        f'{SHORT}.mp4, {of}' for of in ('anna, pass 1', 'anna, pass 2', 'ben, pass 1')
    ]


def test_a_move_that_arrives_late_counts_from_when_it_was_made(opened: Opened) -> None:
    """Here 0.1 s late, of a video that plays four times as fast: samples that were taken meanwhile change."""
    begin(opened, SHORT, targets='valence')
    opened.page.locator('#rate').click()
    until(opened, 'video.currentTime > 0.8')
    at = opened.page.evaluate(
        """() => {
            const pad = document.getElementById('pad'), box = pad.getBoundingClientRect();
            const place = { clientX: box.right, clientY: box.top, isPrimary: true };
            const late = new PointerEvent('pointermove', place), at = video.currentTime;
            Object.defineProperty(late, 'timeStamp', { value: performance.now() - 100 });
            pad.dispatchEvent(late);
            return at;
        }"""
    )
    until(opened, 'video.ended')
    times, valence = saved(opened)[3].T
    assert times[valence == 1][0] == pytest.approx(at - 0.4, abs=0.1)
    assert (valence[times > at] == 1).all()
    assert (valence[times < at - 0.5] == 0).all()


def test_what_is_replaced_is_said_and_a_closed_tab_loses_nothing(opened: Opened) -> None:
    page = opened.page
    begin(opened, LONG)
    put(opened, 'arousal', 1)
    page.locator('#rate').click()
    until(opened, 'video.currentTime > 2')
    opened.load()  # in the middle of rating
    assert opened.page.locator('#rater').input_value() == 'anna'
    _, _, _, table = saved(opened)
    assert table[-1, 0] > 1.9
    page.evaluate(f'video.playbackRate = {SPEED}')
    page.locator('#position').fill('1')
    page.locator('#rate').click()
    assert said(opened).startswith('What was rated after 0:01.0, ')
    assert said(opened).endswith(' s, is replaced; Undo brings it back.')
    page.locator('#position').fill('0')  # to seek is to pause
    assert page.evaluate('video.paused')
    page.locator('#rate').click()
    hide = "Object.defineProperty(document, 'hidden', { value: true })"
    page.evaluate(f"() => {{ {hide}; document.dispatchEvent(new Event('visibilitychange')); }}")
    assert alert(opened).endswith('since the page was out of sight.')
    assert page.evaluate('video.paused')


def test_a_recording_whose_length_is_unknown(opened: Opened) -> None:
    """Nothing is lost, and nothing gets the rating of a later moment once the browser learns the length."""
    page = opened.page
    begin(opened, 'live.webm', targets='valence')
    page.evaluate('video.playbackRate = 1')
    put(opened, 'valence', 0.5)
    page.locator('#rate').click()
    until(opened, 'video.currentTime > 0.4')
    page.locator('#position').fill('0.2')
    assert page.evaluate('[String(video.duration), video.currentTime]') == ['Infinity', 0.2]
    put(opened, 'valence', -0.25)
    page.evaluate(f'video.playbackRate = {2 * SPEED}')
    rate_to_the_end(opened)
    times, valence = saved(opened)[3].T
    assert len(times) == math.ceil(page.evaluate('video.duration') * 30) > 140
    np.testing.assert_array_equal(valence, np.where(times < 0.2 - 1e-6, 0.5, -0.25))
    assert page.locator('#alert').is_hidden()


def test_what_is_not_played_is_not_rated(opened: Opened) -> None:
    """The browser's own controls move the video; a file ends before the time that it states."""
    page = opened.page
    begin(opened, LONG, targets='valence')
    page.evaluate('video.playbackRate = 1')
    put(opened, 'valence', 0.5)
    page.locator('#rate').click()
    until(opened, 'video.currentTime > 0.3')
    first = page.evaluate('[video.currentTime, video.currentTime = 9][0]')
    assert 'to 0:09.0, which this page did not ask for' in alert(opened)
    page.locator('#rate').click()
    until(opened, 'video.currentTime > 9.1')
    page.locator('#rate').click()
    second = page.evaluate('[video.currentTime, video.currentTime = 19.5][0]')  # while it is paused
    until(opened, '!video.seeking')
    rate_to_the_end(opened)
    times, valence = saved(opened)[3].T
    gaps = np.isnan(valence)
    assert gaps[(times > first + 0.1) & (times < 9 - 1e-6)].all()
    assert gaps[(times > second) & (times < 19.5 - 1e-6)].all()
    assert (valence[(times < 0.2) | ((times >= 9) & (times < 9.1)) | (times >= 19.5)] == 0.5).all()
    begin(opened, 'cut.webm', targets='valence')
    rate_to_the_end(opened)
    assert 'to 0:03.0, which this page did not ask for' in alert(opened)
    assert 0.2 < saved(opened)[3][-1, 0] < 2  # the first by name


BUTTONS = 'buttons: [{pressed: false}, {pressed: false}]'
PAD = f"{{index: 0, id: 'Pad', connected: true, axes: [0.5, -0.25], {BUTTONS}}}"


def test_a_gamepad_that_disappears(opened: Opened) -> None:
    page = opened.page
    page.evaluate(
        f'window.pads = [{PAD}]; navigator.getGamepads = () => pads; '
        "dispatchEvent(new Event('gamepadconnected'))"
    )
    until(opened, 'document.getElementById("status").textContent.includes("left stick of Pad")')
    begin(opened, LONG, 'ben')
    page.locator('#new').click()
    page.locator('#rater').click()
    page.keyboard.press('Control+a')
    page.keyboard.type('anna')  # and the field is not left
    page.evaluate('pads[0].buttons[0].pressed = true')
    until(opened, 'video.currentTime > 0.5')
    page.evaluate('pads = []')
    assert alert(opened).startswith('The gamepad is gone: paused at 0:0')
    assert page.evaluate('video.paused')
    _, comments, _, table = saved(opened)
    assert '# rater: anna' in comments
    assert (table[:, 1:] == [0.5, 0.25]).all()


def test_videos_that_cannot_be_played(opened: Opened, labels: Path) -> None:
    page = opened.page
    page.locator('#choice').select_option(label='old.avi')
    text = alert(opened)
    assert 'this browser does not know its format (browsers play MP4 and WebM, and this is avi' in text
    assert 'This browser plays H.264 in MP4,' in text
    command = page.locator('#alert pre').text_content()
    assert 'ffmpeg -i ' in command
    assert command.endswith('old.avi -fps_mode passthrough -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags '
                            '+faststart playable/old.mp4')  # fmt: skip
    assert page.locator('#alert pre').is_visible()
    page.locator('#choice').select_option(label="moved 'away'#1.mp4")
    until(opened, 'document.querySelector("#alert p").textContent.includes("pick the file above")')
    page.locator('#file').set_input_files(labels.parent / "elsewhere/moved 'away'#1.mp4")
    until(opened, 'video.readyState >= 3')
    assert page.locator('#alert').is_hidden()
    assert page.evaluate('video.videoWidth') == 640
    other = write_video(labels.parent / f'elsewhere/{SHORT}.mp4', plain(8), constant_rate(8))
    page.locator('#file').set_input_files(other)
    assert f'is not the {SHORT}.mp4 of this page' in alert(opened)


def test_a_browser_that_keeps_nothing(opened: Opened, labels: Path) -> None:
    page = opened.page
    begin(opened, SHORT, '')
    page.locator('#rate').click()
    assert alert(opened).startswith('The rater needs a name of letters')
    begin(opened, SHORT, 'a.b')
    page.locator('#rate').click()
    assert alert(opened).startswith("'a.b' needs a name of letters")
    full = "throw new DOMException('', 'QuotaExceededError')"
    page.evaluate(f'() => {{ Storage.prototype.setItem = () => {{ {full} }}; }}')
    begin(opened, SHORT)
    page.locator('#rate').click()
    assert alert(opened) == (
        'This browser keeps no more of this work (QuotaExceededError): download the passes before you close '
        'the page.'
    )
    until(opened, 'video.ended')
    assert page.locator('#kept').text_content().startswith('Not kept')
    whole = math.ceil(page.evaluate('video.duration') * 30)
    assert len(saved(opened)[3]) == whole
    page.evaluate(
        """() => {
            const [one] = passes.all.values();
            const empty = { base: null, from: 0, tail: { valence: '', arousal: '' } };
            for (const bytes of [one.bytes, 5]) {
                const kept = { ...one, bytes, versions: [empty], changed: 1 };
                localStorage[passes.keyOf(kept)] = JSON.stringify(kept);
            }
        }"""
    )
    other = write_video(labels.parent / 'elsewhere/other.mp4', plain(8), constant_rate(8))
    page.locator('#file').set_input_files(other)
    until(opened, 'video.currentSrc.startsWith("blob:")')
    assert len(saved(opened)[3]) == whole  # and not what was kept earlier
    opened.load()
    assert f'also keeps passes of {SHORT}.mp4 of 5 bytes' in page.locator('#kept').text_content()
    assert page.locator('#passes li').count() == 1


def test_two_tabs(opened: Opened) -> None:
    begin(opened, LONG)
    opened.page.locator('#rate').click()
    with opened.page.expect_popup() as popup:
        opened.page.evaluate('() => { window.open(location.href); }')
    assert 'opened in another tab' in alert(opened)
    assert opened.page.evaluate('video.paused')
    popup.value.close()


def test_axe_finds_nothing(opened: Opened) -> None:
    page = opened.page
    begin(opened, SHORT)
    put(opened, 'valence', 0.5)
    page.locator('#rate').click()
    until(opened, 'video.currentTime > 1')
    put(opened, 'arousal', -0.6)
    until(opened, 'video.ended')
    for scheme, checked in (('dark', 390), ('light', 1440)):
        page.emulate_media(color_scheme=scheme)
        for width in (390, 1440):
            page.set_viewport_size({'width': width, 'height': 900})
            assert width != checked or opened.violations == []
            assert opened.overflow <= 0
            opened.screenshot(f'labels_{scheme}_{width}')
    assert opened.errors == []
