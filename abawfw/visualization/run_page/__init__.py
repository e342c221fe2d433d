"""The page of one tested run."""

from abawfw.visualization.run_page.page import run_page

__all__ = ['run_page']
