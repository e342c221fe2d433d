"""The native layout: one array per feature and an index."""
