"""HDF5 files of RUCAIM3's layout (docs/rucaim3.md)."""
