_base_ = [
    '../_base_/datasets/demo.py',
    '../_base_/models/mamba_carried.py',
    '../_base_/schedules/mamba_va_short.py',
    '../_base_/default_runtime.py',
]
hidden = 64  # trains in a minute
layers = 2
regressor = [64]
