"""abawfw: continuous valence-arousal estimation from anything measured per frame."""

__version__ = '0.2.0.dev0'
