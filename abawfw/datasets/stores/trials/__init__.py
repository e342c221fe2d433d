"""A folder of .npy files per trial (docs/tagf.md)."""
