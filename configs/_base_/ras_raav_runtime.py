# What every run of RAAV does besides training.
_base_ = './default_runtime.py'
seed = 0  # its own training; that of the visual and fusion models has 42
