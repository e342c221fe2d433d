# What every run of team RAS's models does besides training.
_base_ = './default_runtime.py'
seed = 42  # train.py
