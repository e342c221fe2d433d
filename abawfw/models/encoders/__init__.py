"""Encoders: temporal models of one modality, before fusion. None is shipped yet."""
