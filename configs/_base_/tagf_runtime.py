# What every run of TAGF's family does besides training.
_base_ = './default_runtime.py'
seed = 3407  # docs/tagf.md, Training
