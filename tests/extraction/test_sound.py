"""Sound on the clock of the pictures: what comes in, where it lies, what is told."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import constant_rate, patched, plain, remuxed, write_sound, write_video

from abawfw.errors import DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.video.recording import Recording


def noise(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def as_int16(samples: np.ndarray) -> np.ndarray:
    return (samples * 32767).round() / np.float32(32768)


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    samples = noise(1.3)
    sound = Audio(write_sound(tmp_path / 'a.mkv', samples, RATE, 'pcm_s16le'))
    assert sound.present
    assert sound.notes == []
    assert sound.duration == 1.3
    np.testing.assert_array_equal(sound.read(0, sound.num_samples), as_int16(samples))


def test_outside_there_is_silence_or_the_last_sample(tmp_path: Path) -> None:
    samples = noise(0.2)
    sound = Audio(write_sound(tmp_path / 'a.mkv', samples, RATE, 'pcm_s16le'))
    n = sound.num_samples
    np.testing.assert_array_equal(
        sound.read(-10, n + 10), np.concatenate([np.zeros(10), as_int16(samples), np.zeros(10)])
    )
    last = as_int16(samples)[-1]
    np.testing.assert_array_equal(sound.read(n - 1, n + 5, edge=True), np.full(6, last))
    np.testing.assert_array_equal(sound.read(n + 100, n + 103, edge=True), np.full(3, last))
    np.testing.assert_array_equal(sound.read(n + 100, n + 103), np.zeros(3))
    np.testing.assert_array_equal(sound.read(-7, -3, edge=True), np.zeros(4))


@pytest.mark.parametrize('rate', [8000, 44100, 48000])
def test_other_rates_keep_time_and_loudness(tmp_path: Path, rate: int) -> None:
    """A tone burst from .5 s on stays where it is, and as loud as it was."""
    t = np.arange(rate) / rate
    samples = (0.5 * np.sin(2 * np.pi * 440 * t) * (t >= 0.5)).astype(np.float32)
    sound = Audio(write_sound(tmp_path / 'a.mkv', samples, rate, 'pcm_s16le'))
    assert sound.duration == pytest.approx(1, abs=0.002)
    found = sound.read(0, RATE)
    assert np.abs(found[:7900]).max() < 0.01
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(found[8100:15900], expected[8100:15900], atol=0.01)


def test_channels_are_averaged(tmp_path: Path) -> None:
    both = np.stack([noise(0.5), noise(0.5, seed=1)])
    sound = Audio(write_sound(tmp_path / 'a.mkv', both, RATE, 'pcm_s16le'))
    np.testing.assert_allclose(sound.read(0, 8000), both.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize('codec', ['pcm_s16le', 'pcm_u8', 'pcm_f32le', 'aac'])
def test_channels_out_of_phase_are_not_mixed_to_silence(tmp_path: Path, codec: str) -> None:
    """A microphone of two balanced lines, taken for stereo: the same twice, once upside down."""
    voice = np.repeat(noise(0.5), 8)[:RATE]  # below 1 kHz, which AAC keeps
    for left, right, taken, channel in ((1, -0.9, 1, 'left'), (0.4, -0.5, -0.5, 'right')):
        both = np.stack([left * voice, right * voice])
        sound = Audio(write_sound(tmp_path / 'a.mkv', both, RATE, codec))
        (note,) = sound.notes
        assert note.startswith('left and right are out of phase, their mean has ')
        assert float(note.split('has ')[1].split('%')[0]) < 2
        assert note.endswith(f' of their power: the {channel} channel alone is taken')
        found = sound.read(0, RATE)
        assert np.corrcoef(found, taken * voice)[0, 1] > 0.97
        assert np.mean(found**2) > 0.9 * np.mean((taken * voice) ** 2)  # of the mean: .000 and .007


@pytest.mark.parametrize('right', ['the same', 'silent', 'another', 'half upside down'])
def test_other_channels_are_averaged(tmp_path: Path, right: str) -> None:
    voice, other = noise(0.5), noise(0.5, seed=1)
    second = {
        'the same': voice,
        'silent': 0 * voice,
        'another': other,
        'half upside down': (other - voice) / 2,
    }[right]
    sound = Audio(write_sound(tmp_path / 'a.mkv', np.stack([voice, second]), RATE, 'pcm_s16le'))
    np.testing.assert_allclose(sound.read(0, 8000), (voice + second) / 2, atol=1e-4)
    assert sound.notes == []


def test_the_first_of_several_streams(tmp_path: Path) -> None:
    streams = [noise(0.5), noise(0.5, seed=1)]
    path = write_video(
        tmp_path / 'a.mkv', plain(15), constant_rate(15), streams, RATE, sound_codec='pcm_s16le'
    )
    sound = Audio(path)
    assert sound.notes == ['2 audio streams: the first one is taken']
    np.testing.assert_array_equal(sound.read(0, 8000), as_int16(streams[0]))


def test_no_sound(tmp_path: Path) -> None:
    sound = Audio(write_video(tmp_path / 'a.mp4', plain(5), constant_rate(5)))
    assert not sound.present
    assert (sound.num_samples, sound.duration) == (0, 0)
    assert sound.notes == ['no audio']
    np.testing.assert_array_equal(sound.read(-5, 5, edge=True), np.zeros(10))
    assert not sound.covers(np.array([0.0, 1.0])).any()


def test_full_scale_does_not_turn_over(tmp_path: Path) -> None:
    """Sound in floating point may reach and pass 1, where int16 ends."""
    path = write_sound(tmp_path / 'a.mkv', np.array([0.0, 1, 1.5, -1, -1.5] * 1000), RATE, 'pcm_f32le')
    found = Audio(path).read(0, 5)
    np.testing.assert_allclose(found, [0, 1, 1, -1, -1], atol=1e-4)
    assert found.max() < 1


def test_sound_that_starts_late(tmp_path: Path) -> None:
    samples = noise(0.5)
    path = write_video(
        tmp_path / 'a.mkv',
        plain(30),
        constant_rate(30),
        samples,
        RATE,
        sound_start=0.25,
        sound_codec='pcm_s16le',
    )
    sound = Audio(path)
    assert sound.notes == ['0.250 s of audio missing at 0.000 s: zeros instead']
    np.testing.assert_array_equal(
        sound.read(0, sound.num_samples), np.concatenate([np.zeros(4000), as_int16(samples)])
    )


def without(path: Path, out: Path, first: float, last: float) -> Path:
    """The same file without the audio packets between two times."""

    def outside(packet: av.Packet) -> bool:
        return packet.stream.type != 'audio' or not first <= packet.pts * packet.time_base < last

    return remuxed(out, path, change=outside)


@pytest.mark.parametrize(
    ('ending', 'codec'), [('mkv', 'pcm_s16le'), ('ts', 'mp2'), ('mp4', 'aac'), ('mpg', 'mp2')]
)
@pytest.mark.parametrize('later', [0, 1.4, 20000])
def test_a_clock_that_starts_anywhere(tmp_path: Path, ending: str, codec: str, later: float) -> None:
    """A picture that is white and a click at the same moment stay together."""
    at, rate = 30, 48000
    pictures = [np.full((64, 96, 3), 255 * (i == at), np.uint8) for i in range(60)]
    click = np.zeros(2 * rate, np.float32)
    click[rate + 480 : rate + 960] = 0.8 * np.sin(np.arange(480) / 4)  # 10 ms from the picture on, of 10 ms
    path = tmp_path / f'a.{ending}'
    if ending == 'mpg':  # whose clock always starts later, and which has no place for H.264's times
        with av.open(str(path), 'w') as file:
            video, sound = file.add_stream('mpeg2video', rate=30), file.add_stream(codec, rate=rate)
            video.width, video.height, video.pix_fmt = 96, 64, 'yuv420p'
            sound.codec_context.layout = 'mono'
            for picture in pictures:
                file.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
            block = av.AudioFrame.from_ndarray(click[None], format='fltp', layout='mono')
            block.sample_rate = rate
            file.mux([*video.encode(None), *sound.encode(block), *sound.encode(None)])
    else:
        made = write_video(
            tmp_path / f'b.{ending}', pictures, constant_rate(60), click, rate, sound_codec=codec
        )
        remuxed(path, made, later=later)
    frames = [(f.time, f.rgb().mean()) for f in Recording(path).frames()]
    (flash,) = [time for time, bright in frames if bright > 128]
    heard = Audio(path)
    samples = heard.read(0, heard.num_samples)
    middle = (np.arange(len(samples)) * samples**2).sum() / (samples**2).sum() / RATE
    delay = 481 / rate if ending == 'mpg' else 0  # that of the encoder, which was given no times
    assert middle - flash == pytest.approx(0.015 + delay, abs=0.002)
    assert frames[0][0] < 0.05
    assert heard.notes == []


@pytest.mark.parametrize('codec', ['pcm_s16le', 'aac'])
def test_a_gap_does_not_move_what_follows(tmp_path: Path, codec: str) -> None:
    samples = noise(3, 48000)
    whole = write_sound(tmp_path / 'whole.mkv', samples, 48000, codec)
    sound = Audio(without(whole, tmp_path / 'gap.mkv', 1, 1.5))
    (note,) = sound.notes
    assert note.endswith('zeros instead')
    assert float(note.split()[0]) == pytest.approx(0.5, abs=0.03)
    assert 'at 1.0' in note
    found, expected = sound.read(0, 3 * RATE), Audio(whole).read(0, 3 * RATE)
    # a block of aac reaches into its neighbours
    np.testing.assert_allclose(found[:15500], expected[:15500], atol=0.02)
    assert not found[17000:23000].any()
    # the times of packets in .mkv are whole milliseconds
    later = np.correlate(found[26500 - 40 : 36500 + 40], expected[26500:36500])
    assert abs(int(later.argmax()) - 40) <= 16


def test_nothing_is_heard_in_a_long_gap(tmp_path: Path) -> None:
    whole = write_sound(tmp_path / 'whole.mkv', noise(3), RATE, 'pcm_s16le')
    times = np.arange(30) / 10
    assert Audio(whole).covers(times).all()
    short = Audio(without(whole, tmp_path / 'short.mkv', 1, 1.2))
    assert short.notes
    assert short.covers(times).all()
    sound = Audio(without(whole, tmp_path / 'gap.mkv', 0.99, 1.55))
    assert np.flatnonzero(~sound.covers(times))[[0, -1]].tolist() in ([10, 15], [11, 15], [10, 16])
    notes = sound.notes_for(times)
    assert notes[0].endswith('zeros instead')
    missing = int((~sound.covers(times)).sum())
    told = f'gaps of more than 0.25 s in the audio: {missing} of 30 frames have no audio features'
    assert notes[1:] == [told]


def test_nothing_is_heard_before_a_late_start(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / 'a.mkv',
        plain(30),
        constant_rate(30),
        noise(0.5),
        RATE,
        sound_start=0.5,
        sound_codec='pcm_s16le',
    )
    heard = Audio(path).covers(np.array([0, 0.3, 0.499, 0.5, 0.7, 0.999, 1.0]))
    assert heard.tolist() == [False, False, False, True, True, True, False]


def test_short_sound(tmp_path: Path) -> None:
    sound = Audio(write_sound(tmp_path / 'a.mkv', noise(0.01), RATE, 'pcm_s16le'))
    assert sound.num_samples == 160
    assert sound.covers(np.array([0.0, 0.0099, 0.01, 5])).tolist() == [True, True, False, False]


def test_frames_after_the_end_are_told(tmp_path: Path) -> None:
    sound = Audio(write_sound(tmp_path / 'a.mkv', noise(0.5), RATE, 'pcm_s16le'))
    assert sound.notes_for(np.arange(5) / 10) == []
    (note,) = sound.notes_for(np.arange(8) / 10)
    assert note == (
        'audio ends at 0.50 s, the last frame is shown at 0.70 s: 3 of 8 frames have no audio features'
    )


def test_half_a_file(tmp_path: Path) -> None:
    whole = tmp_path / 'whole.mp4'
    write_sound(whole, noise(4, 48000), 48000)
    front = tmp_path / 'front.mp4'
    with av.open(str(whole)) as old, av.open(str(front), 'w', options={'movflags': 'faststart'}) as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    content = front.read_bytes()
    cut = tmp_path / 'cut.mp4'
    cut.write_bytes(content[: len(content) // 2])
    sound = Audio(cut)
    assert 1 < sound.duration < 3
    assert any('the file states 4' in note for note in sound.notes)


def test_what_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    for content, message in ((b'', 'empty file'), (b'no video at all\n' * 50, 'no video, or a damaged one')):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf'a\.mp4: {message}'):
            Audio(path)


def test_a_codec_without_a_decoder(tmp_path: Path) -> None:
    path = write_sound(tmp_path / 'a.mov', noise(0.2), RATE, 'pcm_s16le')
    with pytest.raises(
        DataError, match=r'a\.mov: there is no decoder for its audio \(none \(zzzz / .*convert it'
    ):
        Audio(patched(path, b'sowt', b'zzzz'))
    first, second = (noise(seconds) for seconds in (0.2, 0.3))
    two = write_video(
        tmp_path / 'b.mov', plain(3), constant_rate(3), [first, second], RATE, sound_codec='pcm_s16le'
    )
    content = two.read_bytes()
    two.write_bytes(content.replace(b'sowt', b'zzzz', 1))
    sound = Audio(two)
    assert sound.num_samples in (len(first), len(second))
    assert sound.notes[0].startswith('2 audio streams: ')


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'b\.mp4: no such file'):
        Audio(tmp_path / 'b.mp4')


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Three minutes, of which no more than ten seconds are held at a time."""
    import tracemalloc

    path = write_sound(tmp_path / 'a.mkv', np.zeros(180 * RATE, np.float32), RATE, 'pcm_s16le')
    tracemalloc.start()
    sound = Audio(path)
    total = sum(len(sound.read(start, start + 10 * RATE)) for start in range(0, sound.num_samples, 10 * RATE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 180 * RATE
    assert peak < 4 * 2**20
