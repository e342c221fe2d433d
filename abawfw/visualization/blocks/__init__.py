"""What a section of a page is made of."""

from abawfw.visualization.blocks.curve_browser import CurveBrowser, Line, Panel
from abawfw.visualization.blocks.small import Block, Facts, Figure, Paragraph, Preformatted, SideBySide
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
