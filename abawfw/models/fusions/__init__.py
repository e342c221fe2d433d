"""Fusions: one sequence out of several modalities."""

from abawfw.models.fusions.concat_fusion import ConcatFusion

__all__ = ['ConcatFusion']
