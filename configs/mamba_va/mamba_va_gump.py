_base_ = [
    '../_base_/datasets/gump_windows.py',
    '../_base_/models/mamba_va.py',
    '../_base_/schedules/mamba_va_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoders=dict(_delete_=True, gump='${encoder}'))
channels = [16, 16, 16, 16]  # 92 inputs, but only 50 clips to learn from
kernel = 5
layers = 1
