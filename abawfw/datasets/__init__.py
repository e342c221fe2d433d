"""Stores, clips, transforms and samplers: from files to batches."""
