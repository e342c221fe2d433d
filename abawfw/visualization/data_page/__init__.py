"""The page of a data set."""

from abawfw.visualization.data_page.page import data_page

__all__ = ['data_page']
