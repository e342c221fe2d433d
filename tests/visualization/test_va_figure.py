"""Curves of one video in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import ImageColor

from abawfw.visualization.palette import TARGETS
from abawfw.visualization.va_figure import Thumbnail, _apart, draw_curves, thumbnail_rows

RED, BLUE = ImageColor.getrgb(TARGETS['valence']), ImageColor.getrgb(TARGETS['arousal'])


def table(length: int = 90, face: Any = True, times: Any = None, targets: str = 'va') -> pd.DataFrame:
    values = {'valence': np.full(length, 0.8), 'arousal': np.full(length, -0.8)}
    names = [n for n in values if n[0] in targets]
    columns: dict[str, Any] = {'frame': np.arange(length), **{n: values[n] for n in names}}
    columns |= {f'{n}_raw': values[n] for n in names}
    columns['face'] = pd.array(np.broadcast_to(face, length), dtype='boolean')
    times = np.arange(length) / 30 if times is None else times
    return pd.DataFrame(columns, index=pd.Index(times, name='time'))


def drawn(path: Path, table: pd.DataFrame, *more: Any) -> np.ndarray:
    draw_curves(path, table, 'a $title_', *more)
    return np.round(matplotlib.image.imread(path)[..., :3] * 255).astype(int)


def rows_of(picture: np.ndarray, color: tuple[int, int, int], where: slice = slice(None)) -> np.ndarray:
    near = (np.abs(picture[:, where] - color).max(axis=2) < 12).sum(axis=1)
    return np.flatnonzero(near > 0.5 * near.max()) if near.max() else np.array([])


def test_each_curve_at_its_height(tmp_path: Path) -> None:
    picture = drawn(tmp_path / 'p.png', table())
    middle = slice(300, 900)
    high, low = rows_of(picture, RED, middle), rows_of(picture, BLUE, middle)
    assert high.mean() < 0.4 * len(picture) < 0.6 * len(picture) < low.mean()
    alone = drawn(tmp_path / 'p.png', table(targets='a'))
    assert not len(rows_of(alone, RED))
    assert len(rows_of(alone, BLUE, middle))


def test_what_a_model_gives_beyond_one_is_seen(tmp_path: Path) -> None:
    """Only the raw curve lies there: smoothed ones are clipped."""
    rows = []
    for raw in (0.8, 2.0):
        picture = drawn(tmp_path / 'p.png', table(targets='v').assign(valence=np.nan, valence_raw=raw))
        coloured = (np.ptp(picture[:, 300:900], axis=2) > 40).mean(axis=1) > 0.9
        rows.append(np.flatnonzero(coloured).mean())
    top, height = 0.45 * 120, (3.6 - 0.45 - 0.55) * 120  # of the axis, in pixels
    assert rows[0] == pytest.approx(top + height * (1.05 - 0.8) / 2.1, abs=3)
    assert rows[1] == pytest.approx(top + height * (2.1 - 2.0) / 4.2, abs=3)


def test_an_interval_lies_between_its_ends(tmp_path: Path) -> None:
    plain = table(targets='v')
    with_ends = plain.assign(valence_low=0.4, valence_high=1.0)
    one, other = (
        drawn(tmp_path / 'p.png', plain),
        drawn(tmp_path / 'p.png', with_ends, (), {'valence': '90 %'}),
    )
    changed = (np.abs(other - one).max(axis=2) > 8)[:, 300:900]
    rows = np.flatnonzero(changed.mean(axis=1) > 0.9)
    middle = rows_of(one, RED, slice(300, 900)).mean()  # at .8, one third of the way from the upper end
    assert (middle - rows.min()) / np.ptp(rows) == pytest.approx(1 / 3, abs=0.03)
    assert np.ptp(rows) == pytest.approx(
        0.6 / 2.1 * (3.6 - 0.45 - 0.55) * 120, abs=3
    )  # of the axis, in pixels


def test_grey_where_no_face_is(tmp_path: Path) -> None:
    face = np.arange(90) < 45
    half = drawn(tmp_path / 'p.png', table(face=face))
    grey = (np.abs(half - 0xE3).max(axis=2) < 3).mean(axis=0)
    left, right = 400, 1100
    assert grey[left] < 0.05
    assert grey[right] > 0.4
    unknown = drawn(tmp_path / 'p.png', table(face=None))
    assert (np.abs(unknown - 0xE3).max(axis=2) < 3).mean() < 0.01


def test_faces_below_in_order_of_time(tmp_path: Path) -> None:
    colors = [(250, 0, 250), (0, 250, 0), (250, 250, 0)]
    faces = [
        Thumbnail(row, np.full((48, 48, 3), c, np.uint8)) for row, c in zip((10, 40, 41), colors, strict=True)
    ]
    picture = drawn(tmp_path / 'p.png', table(), faces)
    plain = drawn(tmp_path / 'q.png', table())
    assert len(picture) > len(plain)
    columns = []
    for color in colors:
        hit = np.abs(picture - color).max(axis=2) < 8
        assert hit.sum() > 80 * 80  # all of it, none covered by the next
        columns.append(np.flatnonzero(hit.any(axis=0)).mean())
    assert columns == sorted(columns)


@pytest.mark.parametrize('length', [1, 2])
def test_shortest_videos(tmp_path: Path, length: int) -> None:
    picture = drawn(tmp_path / 'p.png', table(length), [Thumbnail(0, np.zeros((48, 48, 3), np.uint8))])
    assert (np.abs(picture - RED).max(axis=2) < 12).any()


def test_without_times_frames_count(tmp_path: Path) -> None:
    nothing = drawn(tmp_path / 'p.png', table(times=np.full(90, np.nan)))
    assert (np.abs(nothing - RED).max(axis=2) < 12).sum() > 1000


def test_thumbnails_are_spread_over_frames_with_a_face() -> None:
    seen = np.ones(120, dtype=bool)
    seen[:50] = False
    rows = thumbnail_rows(seen, 12)
    assert all(seen[rows])
    assert len(rows) == 7
    assert np.diff(rows).min() >= 5
    assert thumbnail_rows(np.zeros(5, dtype=bool)) == []
    assert thumbnail_rows(np.ones(3, dtype=bool), 12) == [0, 1, 2]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12), st.floats(0.1, 3))
def test_boxes_stay_apart_and_inside(wanted: list[float], width: float) -> None:
    places = _apart(np.sort(wanted), width, 0.0, 10.0)
    room = min(width, 10 / len(wanted))
    assert (np.diff(places) >= room - 1e-9).all()
    assert places[0] >= room / 2 - 1e-9
    assert places[-1] <= 10 - room / 2 + 1e-9


def test_half_a_picture_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full half-way: the picture from before stays, and nothing else is left."""

    def full(figure: Any, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    path = tmp_path / 'p.png'
    path.write_bytes(b'before')
    monkeypatch.setattr(Figure, 'savefig', full)
    with pytest.raises(OSError, match='No space left'):
        draw_curves(path, table(), 'title')
    assert path.read_bytes() == b'before'
    assert list(tmp_path.iterdir()) == [path]
