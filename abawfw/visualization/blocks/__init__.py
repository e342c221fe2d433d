"""What a section of a page is made of."""

from abawfw.visualization.blocks.base import Block
from abawfw.visualization.blocks.curve_browser import CurveBrowser, Line, Panel
from abawfw.visualization.blocks.facts import Facts
from abawfw.visualization.blocks.figure import Figure
from abawfw.visualization.blocks.paragraph import Paragraph
from abawfw.visualization.blocks.preformatted import Preformatted
from abawfw.visualization.blocks.side_by_side import SideBySide
from abawfw.visualization.blocks.table import Column, Table

__all__ = [
    'Block',
    'Column',
    'CurveBrowser',
    'Facts',
    'Figure',
    'Line',
    'Panel',
    'Paragraph',
    'Preformatted',
    'SideBySide',
    'Table',
]
