_base_ = [
    '../_base_/datasets/ceap360vr_windows.py',
    '../_base_/models/mamba_va.py',
    '../_base_/schedules/mamba_va_short.py',
    '../_base_/default_runtime.py',
]
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
model = dict(encoders=dict(_delete_=True, lum='${encoder}', head='${encoder}', gaze='${encoder}'))
channels = [32, 32, 32, 32]  # 17 inputs need no more
kernel = 5
layers = 2
