_base_ = [
    '../_base_/datasets/ceap360vr.py',
    '../_base_/models/mamba_carried.py',
    '../_base_/schedules/mamba_va_short.py',
    '../_base_/default_runtime.py',
]
hidden = 128  # 17 inputs need no more
layers = 2
regressor = [64]
