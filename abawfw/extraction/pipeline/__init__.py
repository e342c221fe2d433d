"""Extraction over many videos: what is planned, done, checked and left."""
