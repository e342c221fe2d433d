"""The annotated video: one picture per frame at its time, sound as it was."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from extraction.made_videos import constant_rate, plain, remuxed, write_video

from abawfw.errors import DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.audio.audio_stream import AudioStream
from abawfw.extraction.video.recording import Recording
from abawfw.visualization.overlay import write_overlay
from abawfw.visualization.overlay_canvas import FOUND, HELD, SPAN, OverlayCanvas, layout, rgb_of
from abawfw.visualization.overlay_persons import PERSONS, PersonsCanvas

COUNT = 20
IRREGULAR = [0.1, 0.14, 0.2, *(0.3 + 0.05 * i for i in range(COUNT - 3))]


def table(times: list[float]) -> pd.DataFrame:
    wave = np.linspace(-0.5, 0.5, len(times))
    columns = {'frame': np.arange(len(times)), 'valence': wave, 'arousal': -wave}
    face = pd.array(np.arange(len(times)) > 1, dtype='boolean')
    return pd.DataFrame({**columns, 'face': face}, index=pd.Index(times, name='time'))


def sound(seconds: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-0.5, 0.5, int(48000 * seconds)).astype(np.float32)


def samples_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.concatenate([f.to_ndarray() for f in file.decode(file.streams.audio[0])], axis=1)


def boxes() -> np.ndarray:
    made = np.tile(np.array([10, 10, 60, 50], np.float32), (COUNT, 1))
    made[0] = np.nan
    return made


@pytest.mark.parametrize('times', [constant_rate(COUNT, 30), IRREGULAR], ids=['constant', 'irregular'])
def test_times_and_sound_stay(tmp_path: Path, times: list[float]) -> None:
    video = write_video(tmp_path / 'in.mp4', plain(COUNT), times, sound())
    out = tmp_path / 'out.mp4'
    notes = write_overlay(out, Recording(video).frames(), table(times), boxes(), AudioStream(video))
    assert notes == []
    frames = list(Recording(out).frames())
    np.testing.assert_allclose([f.time for f in frames], times, atol=1e-4)
    assert frames[0].size == (1280, 720)
    np.testing.assert_array_equal(samples_of(out), samples_of(video))  # copied, not encoded again
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith('.')] == []


def speech(seconds: float = 2.0, rate: int = 48000) -> np.ndarray:
    """A tone that rises, on and off, as no shift of it resembles."""
    clock = np.arange(int(rate * seconds)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (200 + 600 * clock) * clock)
    return (tone * (np.sin(2 * np.pi * 3.1 * clock) > 0.5)).astype(np.float32)


def delay(before: np.ndarray, after: np.ndarray) -> float:
    """Milliseconds by which one sound, in 16 kHz, is later than the other: the peak of their correlation."""
    count = 2 * max(len(before), len(after))
    found = np.fft.irfft(np.conj(np.fft.rfft(before, count)) * np.fft.rfft(after, count), count)
    at = int(found.argmax())
    return (at - count if at > count // 2 else at) * 1000 / RATE


@pytest.mark.parametrize(
    ('name', 'codec', 'rate', 'start', 'kind'),
    [
        ('in.mkv', 'pcm_s16le', 48000, 0, 'pcm_s16le'),
        ('in.mkv', 'pcm_s16le', 44100, 0.5, 'pcm_s16le'),
        ('in.mkv', 'pcm_s16le', 22050, 0.013, 'pcm_s16le'),
        ('in.mkv', 'pcm_s16le', 192000, 0.1, 'pcm_s16le'),
        ('in.ts', 'mp2', 48000, 0.3, 'mp2'),
        ('in.avi', 'adpcm_ms', 44100, 0, 'adpcm_ms'),
        ('in.wmv', 'wmav2', 44100, 0, 'wmav2'),
        ('in.mkv', 'aac', 44100, 0.5, None),
        ('in.ts', 'aac', 48000, 0.3, None),
        ('in.mp4', 'aac', 48000, 0, None),
    ],
)
def test_sound_stays_where_it_is(
    tmp_path: Path, name: str, codec: str, rate: int, start: float, kind: str | None
) -> None:
    """Within 1 ms, copied or encoded anew, wherever it starts."""
    times = constant_rate(COUNT, 10)
    heard = np.stack([speech(rate=rate)] * (2 if codec == 'wmav2' else 1))
    made = write_video(
        tmp_path / f'made_{name}', plain(COUNT), times, heard, rate, sound_codec=codec, sound_start=start
    )
    video = remuxed(tmp_path / name, made, later=7)
    shown = [frame.time for frame in Recording(video).frames()]
    out = tmp_path / 'out.mp4'
    notes = write_overlay(out, Recording(video).frames(), table(shown), None, AudioStream(video))
    anew = f'few players know audio of the kind {kind} in MP4: it was re-encoded as AAC'
    assert (anew in notes) == (kind is not None)
    np.testing.assert_allclose([frame.time for frame in Recording(out).frames()], shown, atol=1e-4)
    before, after = Audio(video), Audio(out)
    count = before.num_samples
    assert abs(delay(before.read(0, count), after.read(0, count))) < 1
    if kind is not None:
        # from time 0 on, so that what the encoder needs before lies where no player plays it
        assert after.notes == []
        with av.open(str(out)) as file:
            assert file.streams.audio[0].start_time == 0


def test_a_colon_in_a_path_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    times = constant_rate(COUNT)
    write_video(tmp_path / 'in.mp4', plain(COUNT), times, sound()).rename('12:30.mp4')
    out, video = Path('run:1/12:30.va.mp4'), Path('12:30.mp4')
    out.parent.mkdir()
    assert write_overlay(out, Recording(video).frames(), table(times), None, AudioStream(video)) == []
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    times = constant_rate(COUNT, 10)
    whole = write_video(tmp_path / 'whole.mkv', plain(COUNT), times, speech(), sound_codec='pcm_s16le')

    def outside(packet: av.Packet) -> bool:
        return packet.stream.type != 'audio' or not 0.5 <= packet.pts * packet.time_base < 0.9

    video = remuxed(tmp_path / 'gap.mkv', whole, change=outside)
    out = tmp_path / 'out.mp4'
    notes = write_overlay(out, Recording(video).frames(), table(times), None, AudioStream(video))
    assert any(note.endswith('of audio missing at 0.512 s: zeros instead') for note in notes)
    before, after = (Audio(path).read(16000, 32000) for path in (video, out))  # what follows the gap
    assert abs(delay(before, after)) < 1


def test_damaged_sound_is_no_end(tmp_path: Path) -> None:
    times = constant_rate(COUNT, 10)
    whole = write_video(tmp_path / 'whole.mov', plain(COUNT), times, speech(), sound_codec='mp2')

    def spoil(packet: av.Packet) -> bool:
        if packet.stream.type == 'audio' and 0.5 <= packet.pts * packet.time_base < 0.6:
            packet.update(b'\xff' * packet.size)
        return True

    video = remuxed(tmp_path / 'spoilt.mov', whole, change=spoil)
    out = tmp_path / 'out.mp4'
    notes = write_overlay(out, Recording(video).frames(), table(times), None, AudioStream(video))
    assert any('damaged audio packets: omitted' in note for note in notes)
    before, after = (Audio(path).read(16000, 32000) for path in (whole, out))
    assert abs(delay(before, after)) < 1


def test_no_sound_and_several(tmp_path: Path) -> None:
    times = constant_rate(COUNT)
    out = tmp_path / 'out.mp4'
    silent = write_video(tmp_path / 'silent.mp4', plain(COUNT), times)
    notes = write_overlay(out, Recording(silent).frames(), table(times), None, AudioStream(silent))
    assert notes == ['the video has no audio']
    with av.open(str(out)) as file:
        assert not file.streams.audio
    two = write_video(tmp_path / 'two.mkv', plain(COUNT), times, [sound(), sound() * 0.1])
    notes = write_overlay(out, Recording(two).frames(), table(times), None, AudioStream(two))
    assert notes == ['one of 2 audio streams is copied']


def test_another_number_of_frames(tmp_path: Path) -> None:
    times = constant_rate(COUNT)
    video = write_video(tmp_path / 'in.mp4', plain(COUNT), times)
    out = tmp_path / 'out.mp4'
    with pytest.raises(DataError, match='the video has 20 frames, the table 21 rows'):
        write_overlay(out, Recording(video).frames(), table([*times, 9.0]), None)
    with pytest.raises(DataError, match='more frames than the table, which has 19 rows'):
        write_overlay(out, Recording(video).frames(), table(times[:-1]), None)
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == ['in.mp4']


def test_cannot_be_written(tmp_path: Path) -> None:
    times = constant_rate(COUNT)
    video = write_video(tmp_path / 'in.mp4', plain(COUNT), times)
    with pytest.raises(OSError, match=r'in\.mp4'):
        write_overlay(video / 'out.mp4', Recording(video).frames(), table(times), None)


def near(picture: np.ndarray, color: str, tolerance: int = 6) -> np.ndarray:
    return np.abs(picture.astype(int) - rgb_of(color)).max(axis=2) <= tolerance


def test_box_lies_where_the_face_is() -> None:
    canvas = OverlayCanvas(table(IRREGULAR), 640, 360)
    rgb = np.full((360, 640, 3), 40, np.uint8)
    face = np.array([100, 50, 200, 150], np.float32)
    picture = canvas.draw(5, rgb, face, True)
    assert picture.shape == (720, 1280, 3)
    scale = 860 / 640
    rows, columns = np.nonzero(near(picture[:484, :860], FOUND))
    np.testing.assert_allclose([columns.min(), rows.min(), columns.max(), rows.max()], face * scale, atol=3)
    assert near(canvas.draw(5, rgb, face, False), HELD).any()  # held over a gap: another colour
    without = canvas.draw(0, rgb, None, False)
    assert not near(without[:484, :860], FOUND).any()
    assert near(without[:60, :200], HELD).any()  # 'no face'
    audio_only = canvas.draw(0, rgb, None, None)
    assert not near(audio_only[:484, :860], HELD).any()


def test_the_point_moves_on_the_plane() -> None:
    canvas = OverlayCanvas(table(IRREGULAR), 640, 360)
    rgb = np.zeros((360, 640, 3), np.uint8)
    places = []
    for row in (0, COUNT - 1):
        white = near(canvas.draw(row, rgb, None, None)[60:430, 880:1260], '#e8eaed', 1)
        places.append(np.argwhere(white).mean(axis=0))
    (first_y, first_x), (last_y, last_x) = places
    assert last_x > first_x + 50  # valence rises
    assert last_y > first_y + 50  # arousal falls: downwards


@pytest.mark.parametrize('size', [(1080, 1920), (2160, 3840), (101, 57), (1, 1)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    frame, plane, curves = layout(width, height)
    assert (frame.height == 720) is (height > width)
    assert (
        frame.width * frame.height + plane.width * plane.height + curves.width * curves.height == 1280 * 720
    )
    rgb = np.full((height, width, 3), 200, np.uint8)
    picture = OverlayCanvas(table(IRREGULAR), width, height).draw(0, rgb, None, None)
    assert near(picture[: frame.height, : frame.width], '#c8c8c8').any()


def test_an_interval_lies_between_its_ends() -> None:
    plain = table(IRREGULAR)
    plain['valence'] = 0.0
    ends = plain.assign(valence_low=-0.5, valence_high=0.25)
    rgb = np.zeros((360, 640, 3), np.uint8)
    pictures = [OverlayCanvas(of, 640, 360).draw(9, rgb, None, None).astype(int) for of in (plain, ends)]
    rows, columns = np.nonzero(np.abs(pictures[1] - pictures[0]).max(axis=2) > 3)
    top, height = 484 + 40, 236 - 40 - 22  # of the curves, from +1 to -1
    expected = [top + height * (1 - value) / 2 for value in (0.25, -0.5)]
    np.testing.assert_allclose([rows.min(), rows.max()], expected, atol=2)
    assert len(set(rows)) > 0.95 * np.ptp(rows)  # but for the curve itself
    assert np.ptp(columns) == pytest.approx((1280 - 52 - 24) / 12 * (IRREGULAR[-1] - IRREGULAR[0]), abs=3)


@pytest.mark.parametrize('person', ['person1', 'person2'])
def test_each_of_several_persons_has_intervals_of_their_own(person: str) -> None:
    flat = {name: table(IRREGULAR).assign(valence=0.0) for name in ('person1', 'person2')}
    ends = flat | {person: flat[person].assign(valence_low=-0.5, valence_high=0.25)}
    rgb = np.zeros((360, 640, 3), np.uint8)
    images = [PersonsCanvas(of, {}, 640, 360).draw_persons(9, rgb).astype(int) for of in (flat, ends)]
    changed = np.abs(images[1] - images[0]).max(axis=2) > 3
    rows, columns = np.nonzero(changed)
    top, height = 484 + 40, 236 - 40 - 22  # of the curves, from +1 to -1
    expected = [top + height * (1 - value) / 2 for value in (0.25, -0.5)]
    np.testing.assert_allclose([rows.min(), rows.max()], expected, atol=2)
    assert columns.max() < 1280 / 2 + 10  # those of arousal, on the right, have none
    brighter = (images[1] - images[0])[changed].sum(axis=0)
    own = rgb_of(PERSONS[list(flat).index(person)])
    assert np.argsort(brighter).tolist() == np.argsort(own).tolist()


def test_a_word_stands_beside_the_values() -> None:
    plain = table(IRREGULAR)
    words = np.array([None] + ['happy'] * (len(plain) - 1), dtype=object)
    rgb = np.zeros((360, 640, 3), np.uint8)
    pictures = [OverlayCanvas(of, 640, 360) for of in (plain, plain.assign(word=words))]
    for row in (0, 9):
        without, with_word = (canvas.draw(row, rgb, None, None).astype(int) for canvas in pictures)
        rows, columns = np.nonzero(np.abs(without - with_word).max(axis=2))
        assert bool(len(rows)) == (row == 9)
        if len(rows):
            assert 484 < rows.min() < rows.max() < 524
            assert 440 < columns.min() < columns.max() < 560


def test_frames_without_values_leave_gaps() -> None:
    """As of a network that sees no face in them: no line, no point, and no number."""
    times = np.arange(60) / 10
    values = np.where((times >= 2) & (times < 4), np.nan, 0.5)
    curve = pd.DataFrame({'frame': range(60), 'valence': values}, index=pd.Index(times, name='time'))
    canvas = OverlayCanvas(curve, 64, 36)
    strip = canvas._strip
    image = canvas.draw(30, np.zeros((36, 64, 3), np.uint8), None, False)
    shown = image[strip.y : strip.y + strip.height, strip.x : strip.x + strip.width].astype(int)
    reddish = (shown[..., 0] > shown[..., 2] + 30).any(axis=0)
    seconds = (np.arange(strip.width) / strip.width - 0.5) * SPAN + 3.0
    there = (seconds > 0) & (seconds < 5.9)
    np.testing.assert_array_equal(reddish[there & (seconds < 1.8)], True)
    np.testing.assert_array_equal(reddish[(seconds > 2.05) & (seconds < 3.9)], False)
    np.testing.assert_array_equal(reddish[there & (seconds > 4.1)], True)


def test_names_of_many_persons_lie_on_the_image() -> None:
    people = {f'person{k}': table(constant_rate(COUNT, 30)) for k in range(1, 11)}
    frame = np.full((640, 480, 3), 90, np.uint8)
    canvas = PersonsCanvas(people, {}, 480, 640)
    image = canvas.draw_persons(5, frame).astype(int)
    box = canvas._image
    below = image[box.y + box.height - 80 : box.y + box.height, box.x : box.x + box.width]
    written = (np.abs(below - below[0, 0]).max(axis=2) > 20).any(axis=1)
    lines = np.flatnonzero(np.diff(written.astype(int)) == 1)
    assert len(lines) == 3  # of four names each, which is what fits


def test_words_stand_at_the_boxes_of_several_persons() -> None:
    people = {name: table(constant_rate(COUNT, 30)) for name in ('person1', 'person2')}
    spoken = {
        name: of.assign(word=word) for (name, of), word in zip(people.items(), ('happy', 'sad'), strict=True)
    }
    where = {'person1': boxes() + np.float32(200), 'person2': boxes() + np.float32([400, 200, 400, 200])}
    frame = np.full((480, 640, 3), 90, np.uint8)
    without, given = (PersonsCanvas(of, where, 640, 480).draw_persons(5, frame) for of in (people, spoken))
    changed = np.argwhere((without != given).any(axis=2))
    assert len(changed) > 100
    tops = np.array([210, 210]) * 484 / 480  # of the boxes in the image, which is 484 pixels high
    assert changed[:, 0].max() < tops.max() + 10
    assert changed[:, 0].min() > tops.min() - 80
    same = dict.fromkeys(people, spoken['person1'])
    assert (PersonsCanvas(same, where, 640, 480).draw_persons(5, frame) != given).any()
