"""Encoders: temporal models of one modality, before fusion."""

from abawfw.models.encoders.tcn import TCN

__all__ = ['TCN']
