"""Files of raters: what is read of them, at the frames of a video, and what is refused by name and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abawfw.datasets.importers.rater_files import RaterFile, read_rater_files
from abawfw.errors import DataError


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def trace(folder: Path, times: np.ndarray, values: np.ndarray, name: str = 'v.anna.1.csv') -> RaterFile:
    rows = '\n'.join(f'{t:.6f},{v:.9f}' for t, v in zip(times, values, strict=True))
    write(folder, name, f'time,valence\n{rows}\n')
    (file,) = read_rater_files(folder)
    return file


def test_what_the_annotate_page_writes(tmp_path: Path) -> None:
    head = '# video: my clip\n# file: my clip.mp4\n# rater: anna\n# pass: 2\n# rate: 30\n'
    text = f'{head}time,valence,arousal\n0.000000,,\n0.033333,0.1000,\n0.066667,0.2000,-0.5000\n'
    path = write(tmp_path, 'my clip.anna.2 (1).csv', text)  # as a browser calls a second download
    (file,) = read_rater_files(tmp_path)
    assert (file.path, file.video, file.rater, file.number) == (path, 'my clip', 'anna', '2 (1)')
    assert file.lines.tolist() == [7, 8, 9]
    np.testing.assert_array_equal(file.values['valence'], [np.nan, 0.1, 0.2])
    np.testing.assert_array_equal(file.values['arousal'], [np.nan, np.nan, -0.5])
    assert file.notes == []


def test_the_name_may_say_who_or_the_file_may(tmp_path: Path) -> None:
    rows = 'Time, Valence ,confidence\n0,0.5,1\n0.1,"0.25",1\n'
    write(tmp_path, 'a.b.anna.1.csv', rows)
    write(tmp_path, 'anything.CSV', f'# rater: ben\n#video:a.b\n{rows}')
    first, second = read_rater_files(tmp_path)
    assert (first.video, first.rater, first.number) == ('a.b', 'anna', '1')
    assert (second.video, second.rater, second.number) == ('a.b', 'ben', '1')
    assert second.values['valence'].tolist() == [0.5, 0.25]
    assert first.notes == [f'{first.path}: columns not used: confidence']


def test_aff_wild2_has_a_row_for_every_frame(tmp_path: Path) -> None:
    write(tmp_path, 'v.anna.1.txt', 'valence,arousal\n0.5,0.25\n-5,-5\n1,-1\n')
    (file,) = read_rater_files(tmp_path)
    found = file.on_frames(np.array([0.0, 0.5, 1.0, 1.5]))
    np.testing.assert_array_equal(found['valence'], [0.5, np.nan, 1, np.nan])
    np.testing.assert_array_equal(found['arousal'], [0.25, np.nan, -1, np.nan])


@pytest.mark.parametrize('rate', [1, 5, 24, 30, 60, 240, 1000])
def test_any_rate_is_brought_to_the_frames(tmp_path: Path, rate: int) -> None:
    times = np.arange(0, 20 + 0.5 / rate, 1 / rate)
    file = trace(tmp_path, times, 0.8 * np.sin(times / 3))
    frames = np.arange(480) / 25
    found = file.on_frames(frames)['valence']
    assert np.abs(found - 0.8 * np.sin(frames / 3)).max() < (0.02 if rate == 1 else 0.004)


def test_several_ratings_a_frame_are_averaged(tmp_path: Path) -> None:
    times = np.arange(2000) / 1000
    jitter = np.where(np.arange(2000) % 2, 0.3, -0.3)
    found = trace(tmp_path, times, jitter).on_frames(np.arange(50) / 25)['valence']
    assert np.abs(found).max() < 0.02
    still = trace(tmp_path, times, np.full(2000, 0.1)).on_frames(np.arange(50) / 25)['valence']
    assert (still == 0.1).all()  # and no rounding: it would look like a movement


def test_ratings_at_the_times_of_frames_stay_as_they_are(tmp_path: Path) -> None:
    frames = np.array([0.0, 0.04, 0.07, 0.12, 0.2])
    values = np.array([0.1, -0.2, 0.3, 0.4, 1.0])
    np.testing.assert_array_equal(trace(tmp_path, frames, values).on_frames(frames)['valence'], values)


def test_nothing_is_invented_in_gaps_and_beyond_the_ends(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(1, 4, 0.1), np.arange(6, 8, 0.1)])
    file = trace(tmp_path, times, np.full(len(times), 0.5))
    frames = np.arange(200) / 20
    known = frames[np.isfinite(file.on_frames(frames)['valence'])]
    # the first and the last hold for half a step
    assert (known.min(), known.max()) == pytest.approx((0.95, 7.95))
    assert known[known < 5].max() == pytest.approx(3.9)
    assert known[known > 5].min() == pytest.approx(6)
    assert len(known) == 60 + 40
    slow = trace(tmp_path / 'slow', np.arange(5) * 1.0, np.full(5, 0.5))
    assert np.isfinite(slow.on_frames(np.arange(50) / 10)['valence']).sum() == 46


GOOD = 'time,valence\n0,0.1\n0.1,0.2\n'
HEADER = 'expected the header time,valence,arousal'
BAD = {
    'empty': ('\n\n', 'is empty; remove it'),
    'of another program': ('Praat\n1;2\n', f"line 1 is 'Praat', {HEADER} .* a file of another program"),
    'semicolons': ('# rater: anna\ntime;valence\n0;1\n', f"line 2 is 'time;valence', {HEADER} .* commas"),
    'comments alone': ('# rater: anna\n', f"line 1 is '', {HEADER}"),
    'no text': ('\0\1\2', rf"line 1 is '\\x00\\x01\\x02', {HEADER}"),
    'no time': ('valence,arousal\n0,0\n', f"line 1 is 'valence,arousal', {HEADER}"),
    'a column twice': ('time,valence,Valence\n0,0,0\n', "line 1: column 'valence' is there twice"),
    'NaN': (GOOD + '0.2,nan\n', "line 4: valence is 'nan', .* leave the cell empty"),
    'infinite': (GOOD + '0.2,inf\n', "line 4: valence is 'inf', a finite number"),
    'no number': (GOOD + '0.2,high\n', "line 4: valence is 'high', a finite number"),
    'no moment': (GOOD + ',0.2\n', "line 4: time is '', a finite number"),
    'a short row': (GOOD + '0.2\n', 'line 4 has 1 value, the header 2: correct it'),
    'a quote that does not end': (GOOD + '0.2,"0.1\n', 'line 4: is no row of CSV'),
    'another scale': (GOOD + '0.2,7\n', r'line 4: valence is 7, outside \[-1, 1\]; scale'),
    'backwards': (GOOD + '\n0.05,0\n', r'line 5: time 0\.05 s after 0\.1 s; times must rise'),
    'one moment twice': (GOOD + '0.1,0\n', r'line 4: time 0\.1 s after 0\.1 s; times must rise'),
    'before the start': ('time,valence\n-1,0\n0,0\n', 'line 2: time -1 s is before'),
    'one row': ('time,valence\n0,0\n', '1 row of ratings make no curve'),
    'milliseconds': (
        'time,valence\n0,0\n33,0\n67,0\n',
        r'lines 2 to 4: 0\.0299 ratings a second, from 1 to 1,000 .* \(are they milliseconds\?\)',
    ),
    'too many': (
        'time,valence\n0,0\n1e-4,0\n2e-4,0\n',
        r'lines 2 to 4: 1e\+04 ratings a second, from 1 to 1,000 are taken; times must be in seconds$',
    ),
    'another video': (f'# video: w\n{GOOD}', 'says "# video: w", its name \'v\': a file of another video'),
    'another rater': (f'# rater: ben\n{GOOD}', 'says "# rater: ben", its name \'anna\''),
    'nobody': (GOOD, 'of which video.* Name it VIDEO.RATER.PASS.csv, or begin it with "# video: NAME"'),
    'a name that leads away': (f'# video: ../v\n# rater: anna\n{GOOD}', 'cannot be a name here'),
    'a text': ('Dear all\n', "first line is 'Dear all', expected"),
}
NAMES = {'nobody': 'clip.csv', 'a name that leads away': 'clip.csv', 'a text': 'v.anna.1.txt'}


@pytest.mark.parametrize('case', BAD)
def test_what_is_wrong_is_one_line_with_file_and_row(tmp_path: Path, case: str) -> None:
    text, said = BAD[case]
    path = write(tmp_path, NAMES.get(case, 'v.anna.1.csv'), text)
    write(tmp_path, 'v.good.1.csv', GOOD)
    with pytest.raises(DataError, match=said) as error:
        read_rater_files(tmp_path)
    first, line = str(error.value).split('\n')
    assert first == '1 problem, nothing written:'
    assert line.startswith(f'  {path}: ')


def test_everything_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    for name, text in (('v.a.1.csv', ''), ('v.b.1.csv', GOOD), ('v.c.1.csv', 'x')):
        write(tmp_path, name, text)
    write(tmp_path, 'notes.md', 'left alone')
    with pytest.raises(DataError, match=r'2 problems(.|\n)*v\.a\.1\.csv(.|\n)*v\.c\.1\.csv'):
        read_rater_files(tmp_path)


def test_there_must_be_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no such folder; give the one with the files VIDEO'):
        read_rater_files(tmp_path / 'nowhere')
    with pytest.raises(DataError, match='no rater has a file there'):
        read_rater_files(tmp_path)
