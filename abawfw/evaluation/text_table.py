"""Tables of text for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(lines: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    r"""Lines with their columns one below the other, and a rule below the first.

    Args:
        lines: cells of each line, as many in all; the first line is the header.
        left: columns that are aligned to the left; the others, numbers, are to the right.

    >>> print(*aligned([['run', 'CCC'], ['a', '0.5000']], left=[0]), sep='\n')
    run     CCC
    ---  ------
    a    0.5000
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        '  '.join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, '  '.join('-' * width for width in widths))
    return text
