"""Backbones: pixels or log-mel spectrograms to one vector per frame. None is shipped yet."""
