"""A table that can be sorted by each of its columns, and saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from abawfw.visualization.blocks.small import Block
from abawfw.visualization.embed import escape

MISSING = '–'


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: above it.
        form: format of its numbers, such as '.3f', ',' or '.1%'; None for a column of texts.
        group: title above neighbouring columns that belong together.
        hint: what it means, shown when the pointer rests on the title.
    """

    title: str
    form: str | None = None
    group: str = ''
    hint: str = ''


class Table(Block):
    """Rows under columns; the first column names the row and stays in sight when the table scrolls.

    A button in every head sorts, first downwards for numbers and upwards for texts, then the other way.
    Missing values, None or NaN, come last both ways. Another button saves all rows as CSV, with all digits.

    Args:
        caption: what the table holds.
        columns: its columns.
        rows: one value per column.
        sort: index of the column that the rows are sorted by at first, and whether downwards.
        keys: one name per row that makes the row selectable, by click or Enter: the page then raises an event
            ``row-chosen`` with the key at the table. A search box shows the rows whose key holds a text.
    """

    def __init__(
        self,
        caption: str,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Any]],
        sort: tuple[int, bool] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        self.caption = caption
        self.columns = list(columns)
        self.sort = sort
        pairs = list(zip(rows, keys or [''] * len(rows), strict=True))
        if sort is not None:
            at, downwards = sort
            there = [pair for pair in pairs if not _missing(pair[0][at])]
            there.sort(key=lambda pair: pair[0][at], reverse=downwards)
            pairs = [*there, *(pair for pair in pairs if _missing(pair[0][at]))]
        self.rows = [row for row, _ in pairs]
        self.keys = [key for _, key in pairs] if keys is not None else None

    def html(self, uid: str) -> str:
        """The table in a box of its own, which scrolls where the page is narrow."""
        heads = ''.join(self._head(i, column) for i, column in enumerate(self.columns))
        body = ''.join(self._row(i, row) for i, row in enumerate(self.rows))
        return (
            f'<div class="table">{self._tools(uid)}'
            f'<div class="table-box" tabindex="0" role="group" aria-labelledby="{uid}-caption">'
            f'<table id="{uid}"><caption id="{uid}-caption">{escape(self.caption)}</caption>'
            f'<thead>{self._groups()}<tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></div>'
        )

    def _tools(self, uid: str) -> str:
        search = '<label>Search <input type="search" autocomplete="off"></label><span role="status"></span>'
        name = f'id="{uid}-csv" aria-labelledby="{uid}-csv {uid}-caption"'
        hint = 'title="Download all rows, with all digits"'
        save = f'<button type="button" class="csv" {name} {hint}>CSV</button>'
        return f'<div class="tools">{"" if self.keys is None else search}{save}</div>'

    def _groups(self) -> str:
        if not any(column.group for column in self.columns):
            return ''
        cells: list[str] = []
        for group, columns in groupby(column.group for column in self.columns):
            scope = ' scope="colgroup"' if group else ''
            tag = 'th' if group else 'td'
            scope += ' class="first"' if cells else ''
            cells.append(f'<{tag}{scope} colspan="{len(list(columns))}">{escape(group)}</{tag}>')
        return f'<tr class="groups">{"".join(cells)}</tr>'

    def _head(self, index: int, column: Column) -> str:
        order = 'none'
        if self.sort is not None and self.sort[0] == index:
            order = 'descending' if self.sort[1] else 'ascending'
        kind = self._kind(index)
        hint = f' title="{escape(column.hint)}"' if column.hint else ''
        button = f'<button type="button"{hint}>{escape(column.title)}</button>'
        name = escape(f'{column.group} {column.title}'.strip())
        return f'<th scope="col" class="{kind}" aria-sort="{order}" data-name="{name}">{button}</th>'

    def _kind(self, index: int) -> str:
        """Classes of the cells of a column: its kind, and whether a group begins or ends before it."""
        column = self.columns[index]
        kind = 'text' if column.form is None else 'number'
        return f'{kind} first' if index and column.group != self.columns[index - 1].group else kind

    def _row(self, index: int, row: Sequence[Any]) -> str:
        cells = []
        for i, (column, value) in enumerate(zip(self.columns, row, strict=True)):
            text, data = MISSING, ''
            if not _missing(value):
                text = str(value) if column.form is None else format(value, column.form)
                data = f' data-value="{escape(value)}"'
            tag = 'th scope="row"' if i == 0 else 'td'
            cells.append(f'<{tag} class="{self._kind(i)}"{data}>{escape(text)}</{tag[:2]}>')
        chosen = '' if self.keys is None else f' tabindex="0" data-key="{escape(self.keys[index])}"'
        return f'<tr{chosen}>{"".join(cells)}</tr>'


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
