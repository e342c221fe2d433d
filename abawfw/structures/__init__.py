"""Data structures shared by all rooms."""

from abawfw.structures.va_data_sample import VADataSample

__all__ = ['VADataSample']
