"""Extractors: faces, sound or words to one vector per frame."""
