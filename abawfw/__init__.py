"""abawfw: continuous valence-arousal estimation from anything measured per frame."""

__version__ = '0.1.0'
