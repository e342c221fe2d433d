"""The page that compares runs."""

from abawfw.visualization.comparison_page.page import ComparisonPage

__all__ = ['ComparisonPage']
