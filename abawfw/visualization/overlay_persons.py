"""One image of an annotated video of several persons: every box with its name and values, and all curves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from abawfw.evaluation.functional import stretches
from abawfw.visualization.overlay_canvas import (
    FAINT,
    INK,
    LINE,
    PANEL,
    Box,
    OverlayCanvas,
    draw_band,
    ends_of,
    font,
    rgb_of,
)

PERSONS = ('#ffb454', '#6db3ff', '#7ee081', '#ff7a6b', '#c79bff', '#f2e14e', '#5fd6cf', '#ff9fd0')
"""On a dark ground, each as bright as the others; the ninth person has the colour of the first again."""
NAME = 90  # pixels of a name in a line of names


class PersonsCanvas(OverlayCanvas):
    """Draws one frame after the other; colours are persons, and the curves of the targets lie apart.

    Args:
        tables: as ``VAInferencer`` gives them, by person; all of one length.
        boxes: (frames, 4) left, top, right, bottom of each face, NaN where there is none.
        width: of the upright images of the video, in pixels.
        height: of the same.
    """

    def __init__(
        self, tables: Mapping[str, pd.DataFrame], boxes: Mapping[str, NDArray], width: int, height: int
    ) -> None:
        self.names = list(tables)
        self._label = 58 if any('word' in table for table in tables.values()) else 40  # pixels above a box
        super().__init__(tables[self.names[0]], width, height)
        self.boxes = dict(boxes)
        self.found = {p: t['face'].fillna(True).to_numpy(dtype=bool) for p, t in tables.items()}
        self.of = {
            person: {t: table[t].to_numpy(dtype=np.float64) for t in self.targets}
            for person, table in tables.items()
        }
        self.ends_of = {person: ends_of(table) for person, table in tables.items()}
        self.words = {p: t['word'].to_numpy() if 'word' in t else [None] * len(t) for p, t in tables.items()}
        self.colours = {p: PERSONS[k % len(PERSONS)] for k, p in enumerate(self.names)}

    def draw_persons(self, row: int, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image of one frame, (720, 1280, 3).

        Args:
            row: of the tables.
            rgb: the upright frame.
        """
        canvas, image = self._with_frame(rgb)
        labels = []
        for person in self.names:
            self.values = self.of[person]
            box = self.boxes[person][row] if person in self.boxes else np.full(4, np.nan)
            if np.isfinite(box).all():
                labels.append((person, self._boxed(image, box, person, row)))
                self._place(canvas, row, person)
        for target, strip in self._strips.items():
            self._curves_of(canvas, row, target, strip)
        for strip in self._strips.values():
            middle = strip.x + strip.width // 2
            cv2.line(canvas, (middle, strip.y), (middle, strip.y + strip.height), rgb_of(FAINT), 1)
        return self._named(canvas, row, labels)

    def _boxed(self, image: NDArray[np.uint8], box: NDArray, person: str, row: int) -> tuple[int, int]:
        """Draws a box, thin where the face is only held over a gap; where its label stands."""
        corners = np.round(box * self._scale * 16).astype(int)
        colour = rgb_of(self.colours[person])
        thick = 2 if self.found[person][row] else 1
        cv2.rectangle(image, corners[:2].tolist(), corners[2:].tolist(), colour, thick, cv2.LINE_AA, 4)
        left, top = (corners[:2] // 16).tolist()
        return self._image.x + min(max(left, 0), self._image.width - 120), self._image.y + max(
            top - self._label, 2
        )

    def _place(self, canvas: NDArray[np.uint8], row: int, person: str) -> None:
        """A person's present on the plane."""
        (place,) = self._on_plane(slice(row, row + 1))
        if np.isfinite(place).all():
            at, colour = np.round(place * 16).astype(int).tolist(), rgb_of(self.colours[person])
            cv2.circle(canvas, at, 8 * 16, rgb_of(PANEL), -1, cv2.LINE_AA, 4)
            cv2.circle(canvas, at, 6 * 16, colour, -1, cv2.LINE_AA, 4)

    @cached_property
    def _strips(self) -> dict[str, Box]:
        """Where the curves of each target lie, side by side."""
        x, y, width, height = self._strip
        each = (width - 52 * (len(self.targets) - 1)) // len(self.targets)
        return {t: Box(x + k * (each + 52), y, each, height) for k, t in enumerate(self.targets)}

    def _curves_of(self, canvas: NDArray[np.uint8], row: int, target: str, strip: Box) -> None:
        """The curves of all persons around the present, over their intervals."""
        x, y, width, height = strip
        first, last, across = self._around(row, width)
        image = canvas[y : y + height + 1, x : x + width]
        for person, ends in self.ends_of.items():
            if target in ends:
                up = (1 - ends[target][first:last]) / 2 * height
                draw_band(image, across, up, rgb_of(self.colours[person]))
        for person, of in self.of.items():
            part, colour = of[target][first:last], rgb_of(self.colours[person])
            known = np.isfinite(part)
            points = np.stack([across, (1 - np.where(known, part, 0)) / 2 * height], axis=1)
            fixed = np.round(points * 16).astype(np.int32)
            for start, stop in stretches(known):
                line = fixed[start:stop].reshape(-1, 1, 2)
                cv2.polylines(image, [line], False, colour, 2, cv2.LINE_AA, 4)
            if known[row - first]:
                cv2.circle(image, fixed[row - first].tolist(), 4 * 16, colour, -1, cv2.LINE_AA, 4)

    def _named(
        self, canvas: NDArray[np.uint8], row: int, labels: list[tuple[str, tuple[int, int]]]
    ) -> NDArray[np.uint8]:
        """Names and values at the boxes; the names of all, those who are not seen fainter; the time."""
        image = Image.fromarray(canvas)
        pen = ImageDraw.Draw(image)
        for person, (left, top) in labels:
            text = f'{person}\n' + '  '.join(self._value(person, target, row) for target in self.targets)
            if isinstance(word := self.words[person][row], str):
                text = f'{text}\n{word}'
            pen.multiline_text(
                (left, top), text, fill=self.colours[person], font=font(14), stroke_width=2,
                stroke_fill=PANEL, spacing=2,
            )  # fmt: skip
        seen = {person for person, _ in labels}
        for target, strip in self._strips.items():
            pen.text((strip.x, self._curves.y + 14), target, fill=INK, font=font(16))
        columns = max((self._image.width - 20) // NAME, 1)
        lines = -(-len(self.names) // columns)
        for k, person in enumerate(self.names):
            line, column = divmod(k, columns)
            pen.text(
                (
                    self._image.x + 10 + column * NAME,
                    self._image.y + self._image.height - 24 - 20 * (lines - 1 - line),
                ),
                person,
                fill=self.colours[person] if person in seen else FAINT,
                font=font(14),
                stroke_width=2,
                stroke_fill=PANEL,
            )
        self._clock(pen, row)
        return np.asarray(image)

    def _value(self, person: str, target: str, row: int) -> str:
        value = self.of[person][target][row]
        number = f'{value:+.2f}'.replace('-', '\N{MINUS SIGN}') if value == value else '?'
        return f'{target[0].upper()} {number}'

    @cached_property
    def _ground(self) -> NDArray[np.uint8]:
        """Of the plane as for one person; of the curves one part per target."""
        image = Image.fromarray(super()._ground)
        pen = ImageDraw.Draw(image)
        x, y, width, height = self._curves
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=PANEL)
        for strip in self._strips.values():
            for value, text in ((-1, '\N{MINUS SIGN}1'), (0, '0'), (1, '+1')):
                at = strip.y + (1 - value) / 2 * strip.height
                pen.line((strip.x, at, strip.x + strip.width, at), fill=LINE)
                pen.text((strip.x - 10, at), text, fill=FAINT, font=font(14), anchor='rm')
        return np.asarray(image)
