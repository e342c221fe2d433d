_base_ = [
    '../_base_/datasets/ceap360vr.py',
    '../_base_/models/transformer_attention.py',
    '../_base_/schedules/adam_8_epochs.py',
    '../_base_/default_runtime.py',
]
hidden = 128  # 17 inputs need no more
layers = 2
ffn = 256
regressor = [64]
train_sampler = dict(lanes=16)
