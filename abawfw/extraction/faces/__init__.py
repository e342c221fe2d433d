"""Faces: detection, tracking, crops."""
