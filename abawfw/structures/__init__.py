"""Data structures shared by all rooms."""

from abawfw.structures.va_batch import VABatch, VAClip

__all__ = ['VABatch', 'VAClip']
