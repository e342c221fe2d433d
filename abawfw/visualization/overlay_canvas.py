"""One image of an annotated video: the frame, the plane of valence and arousal, and moving curves."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from abawfw.evaluation.functional import stretches
from abawfw.visualization.va_figure import COLORS

SIZE = (1280, 720)
SPAN = 12.0  # seconds that the curves show, half of them before the present
TRAIL = 2.0  # seconds of the way that the plane shows
BACK, PANEL, LINE, INK, FAINT = '#15181c', '#1d2126', '#3a4048', '#e8eaed', '#9aa3ad'
BRIGHT = {'valence': '#ff7a6b', 'arousal': '#6db3ff'}  # of COLORS, on a dark ground
FOUND, HELD = '#7ee081', '#f2c14e'
MARGIN = 34
BAND, EDGE = 0.12, 0.5  # how much of its colour an interval has, and its edge


class Box(NamedTuple):
    """A part of the image, in pixels."""

    x: int
    y: int
    width: int
    height: int


def layout(width: int, height: int) -> tuple[Box, Box, Box]:
    """Where the frame, the plane and the curves lie, for upright images of this size."""
    if height > width:
        return Box(0, 0, 430, 720), Box(430, 0, 850, 440), Box(430, 440, 850, 280)
    return Box(0, 0, 860, 484), Box(860, 0, 420, 484), Box(0, 484, 1280, 236)


class OverlayCanvas:
    """Draws one frame after the other; what does not change is drawn once.

    Args:
        table: as ``VAInferencer`` gives it, with times.
        width: of the upright images of the video, in pixels.
        height: of the same.
    """

    def __init__(self, table: pd.DataFrame, width: int, height: int) -> None:
        self.targets = [target for target in COLORS if target in table]
        self.times = table.index.to_numpy(dtype=np.float64)
        self.values = {t: table[t].to_numpy(dtype=np.float64) for t in self.targets}
        self.ends = ends_of(table)
        self._words = table['word'].to_numpy() if 'word' in table else None
        self._frame, self._plane, self._curves = layout(width, height)
        scale = min(self._frame.width / width, self._frame.height / height)
        self._scale = scale
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self._image = Box((self._frame.width - size[0]) // 2, (self._frame.height - size[1]) // 2, *size)

    def draw(
        self, row: int, rgb: NDArray[np.uint8], box: NDArray | None, found: bool | None
    ) -> NDArray[np.uint8]:
        """The image of one frame, (720, 1280, 3).

        Args:
            row: of the table.
            rgb: the upright frame.
            box: left, top, right, bottom of the face in it; None where there is no face.
            found: whether the face was detected, or only held over a gap; None where none was looked for.
        """
        canvas, image = self._with_frame(rgb)
        if box is not None:
            self._face(image, box, bool(found))
        self._way(canvas, row)
        self._moving(canvas, row)
        return self._texts(canvas, row, box is None and found is not None)

    def _with_frame(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A canvas with the frame on it, and the part of it where the frame is."""
        canvas = self._ground.copy()
        x, y, width, height = self._image
        way = cv2.INTER_AREA if self._scale < 1 else cv2.INTER_LINEAR
        image = canvas[y : y + height, x : x + width]
        image[:] = cv2.resize(rgb, (width, height), interpolation=way)
        return canvas, image

    def _face(self, image: NDArray[np.uint8], box: NDArray, found: bool) -> None:
        left, top, right, bottom = np.round(box * self._scale * 16).astype(int)
        color = rgb_of(FOUND if found else HELD)
        cv2.rectangle(image, (left, top), (right, bottom), color, 2, cv2.LINE_AA, 4)

    @cached_property
    def _square(self) -> Box:
        """The plane itself, without its margins."""
        box = self._plane
        side = min(box.width, box.height) - 2 * MARGIN - 12
        return Box(box.x + (box.width - side) // 2, box.y + (box.height - side) // 2 + 4, side, side)

    def _on_plane(self, rows: slice) -> NDArray[np.float64]:
        """Points of the plane, (rows, 2) pixels; a target that is not estimated lies at 0."""
        x, y, side, _ = self._square
        zero = np.zeros(len(self.times[rows]))
        valence = self.values['valence'][rows] if 'valence' in self.values else zero
        arousal = self.values['arousal'][rows] if 'arousal' in self.values else zero
        return np.stack([x + (valence + 1) / 2 * side, y + (1 - arousal) / 2 * side], axis=1)

    def _way(self, canvas: NDArray[np.uint8], row: int) -> None:
        """The last seconds on the plane, fading, and the present."""
        first = int(np.searchsorted(self.times, self.times[row] - TRAIL))
        places = self._on_plane(slice(min(first, row), row + 1))
        known = np.asarray(np.isfinite(places).all(axis=1))
        if not known[-1]:
            return
        unbroken = int(np.cumprod(known[::-1]).sum())
        points = np.round(places[-unbroken:] * 16).astype(np.int32)
        strengths = np.linspace(0.15, 1, max(len(points) - 1, 1))
        for start, end, strength in zip(points[:-1], points[1:], strengths, strict=False):
            color = tuple(
                round(strength * c + (1 - strength) * g)
                for c, g in zip(rgb_of(INK), rgb_of(PANEL), strict=True)
            )
            cv2.line(canvas, start.tolist(), end.tolist(), color, 2, cv2.LINE_AA, 4)
        cv2.circle(canvas, points[-1].tolist(), 8 * 16, rgb_of(BACK), -1, cv2.LINE_AA, 4)
        cv2.circle(canvas, points[-1].tolist(), 6 * 16, rgb_of(INK), -1, cv2.LINE_AA, 4)

    @cached_property
    def _strip(self) -> Box:
        """The curves themselves, without their margins."""
        x, y, width, height = self._curves
        return Box(x + 52, y + 40, width - 52 - 24, height - 40 - 22)

    def _around(self, row: int, width: int) -> tuple[int, int, NDArray[np.float64]]:
        """Rows around the present, first and after the last, and where each lies across the curves."""
        now = self.times[row]
        first = max(int(np.searchsorted(self.times, now - SPAN / 2)) - 1, 0)
        last = min(int(np.searchsorted(self.times, now + SPAN / 2)) + 1, len(self.times))
        return first, last, (self.times[first:last] - now + SPAN / 2) / SPAN * width

    def _moving(self, canvas: NDArray[np.uint8], row: int) -> None:
        """Smoothed curves and their intervals around the present; what is to come is fainter."""
        x, y, width, height = self._strip
        first, last, across = self._around(row, width)
        strip = canvas[y - 2 : y + height + 2, x : x + width]
        middle = width // 2
        for target, ends in self.ends.items():
            draw_band(strip, across, (1 - ends[first:last]) / 2 * height + 2, rgb_of(BRIGHT[target]))
        for target in self.targets:
            values = self.values[target][first:last]
            known = np.isfinite(values)
            up = (1 - np.where(known, values, 0)) / 2 * height + 2
            points = np.round(np.stack([across, up], axis=1) * 16).astype(np.int32)
            here = row - first
            bright = rgb_of(BRIGHT[target])
            faint = tuple(round(0.45 * c + 0.55 * g) for c, g in zip(bright, rgb_of(PANEL), strict=True))
            for part, color, thick in ((slice(here, None), faint, 2), (slice(here + 1), bright, 3)):
                for start, stop in stretches(known[part]):
                    line = points[part][start:stop].reshape(-1, 1, 2)
                    cv2.polylines(strip, [line], False, color, thick, cv2.LINE_AA, 4)
            if known[here]:
                cv2.circle(strip, points[here].tolist(), 5 * 16, bright, -1, cv2.LINE_AA, 4)
        cv2.line(strip, (middle, 0), (middle, height + 4), rgb_of(FAINT), 1)

    def _texts(self, canvas: NDArray[np.uint8], row: int, faceless: bool) -> NDArray[np.uint8]:
        """Time, values, and 'no face'; only the lines that change."""
        image = Image.fromarray(canvas)
        pen = ImageDraw.Draw(image)
        x, y, *_ = self._curves
        left = x + 52
        for target in self.targets:
            value = self.values[target][row]
            text = f'{target} {value:+.2f}'.replace('-', '\N{MINUS SIGN}') if value == value else target
            pen.text((left, y + 10), text, fill=BRIGHT[target], font=font(20))
            left += 200
        if self._words is not None and isinstance(self._words[row], str):
            pen.text((left, y + 10), self._words[row], fill=INK, font=font(20))
        self._clock(pen, row)
        if faceless:
            pen.text((self._image.x + 14, self._image.y + 12), 'no face', fill=HELD, font=font(20))
        return np.asarray(image)

    def _clock(self, pen: ImageDraw.ImageDraw, row: int) -> None:
        x, y, width, _ = self._curves
        minutes, seconds = divmod(max(self.times[row], 0.0), 60)
        text = f'{int(minutes)}:{seconds:05.2f}'
        pen.text((x + width - 24, y + 12), text, fill=INK, font=font(18), anchor='ra')

    @cached_property
    def _ground(self) -> NDArray[np.uint8]:
        """Axes, grids and their names."""
        image = Image.new('RGB', SIZE, BACK)
        pen = ImageDraw.Draw(image)
        for box in (self._plane, self._curves):
            pen.rectangle((box.x, box.y, box.x + box.width - 1, box.y + box.height - 1), fill=PANEL)
        x, y, side, _ = self._square
        pen.rectangle((x, y, x + side, y + side), outline=LINE)
        pen.ellipse((x, y, x + side, y + side), outline=LINE, width=2)
        pen.line((x, y + side / 2, x + side, y + side / 2), fill=LINE, width=2)
        pen.line((x + side / 2, y, x + side / 2, y + side), fill=LINE, width=2)
        if 'arousal' in self.targets:
            pen.text((x + side / 2, y - 6), 'aroused', fill=FAINT, font=font(15), anchor='md')
            pen.text((x + side / 2, y + side + 4), 'calm', fill=FAINT, font=font(15), anchor='ma')
        if 'valence' in self.targets:
            pen.text((x + 12, y + side / 2 - 6), 'negative', fill=FAINT, font=font(15), anchor='ld')
            pen.text((x + side - 12, y + side / 2 - 6), 'positive', fill=FAINT, font=font(15), anchor='rd')
        x, y, width, height = self._strip
        for value in (-1, 0, 1):
            at = y + (1 - value) / 2 * height
            pen.line((x, at, x + width, at), fill=LINE)
            pen.text(
                (x - 10, at),
                ('\N{MINUS SIGN}1', '0', '+1')[value + 1],
                fill=FAINT,
                font=font(14),
                anchor='rm',
            )
        return np.asarray(image)


def ends_of(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Lower and upper ends of intervals, (rows, 2) by target, of those that have them."""
    return {
        t: table[[f'{t}_low', f'{t}_high']].to_numpy(dtype=np.float64) for t in COLORS if f'{t}_low' in table
    }


def draw_band(image: NDArray[np.uint8], across: NDArray, ends: NDArray, colour: tuple[int, int, int]) -> None:
    """Draw what lies between two curves, with its edge, where both are known.

    Args:
        image: drawn on.
        across: (rows,) pixels from its left.
        ends: (rows, 2) pixels from its top, the lower curve first.
        colour: of the curve that the band belongs to.
    """
    band = np.column_stack([across, ends])
    for start, stop in stretches(np.isfinite(band).all(axis=1)):
        upper, lower = band[start:stop, [0, 2]], band[start:stop, [0, 1]]
        outline = np.round(np.concatenate([upper, lower[::-1]]) * 16).astype(np.int32)
        filled = cv2.fillPoly(image.copy(), [outline], colour, cv2.LINE_AA, 4)
        filled = cv2.addWeighted(filled, BAND, image, 1 - BAND, 0)
        edged = cv2.polylines(filled.copy(), [outline], True, colour, 1, cv2.LINE_AA, 4)
        image[:] = cv2.addWeighted(edged, EDGE, filled, 1 - EDGE, 0)


def rgb_of(color: str) -> tuple[int, int, int]:
    """The colours as cv2 takes them: '#ff0000' to (255, 0, 0)."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def font(size: int) -> ImageFont.FreeTypeFont:
    """The one that matplotlib brings, in pixels."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf', size)
