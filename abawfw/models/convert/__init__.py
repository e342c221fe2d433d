"""Checkpoints of other systems, as ours."""
