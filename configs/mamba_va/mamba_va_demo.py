_base_ = [
    '../_base_/datasets/demo_trials.py',
    '../_base_/models/mamba_va.py',
    '../_base_/schedules/mamba_va_short.py',
    '../_base_/default_runtime.py',
]
features = ['video_embedding']
model = dict(encoders=dict(_delete_=True, video_embedding='${encoder}'))
channels = [64, 64, 32, 32]  # trains in a minute
kernel = 5
layers = 2
batch_size = 4
