_base_ = [
    '../_base_/datasets/ceap360vr.py',
    '../_base_/models/fclstm_xl.py',
    '../_base_/schedules/adam_8_epochs.py',
    '../_base_/default_runtime.py',
]
hidden = 128  # 17 inputs need no more
regressor = [64]
lr = 1e-3
train_sampler = dict(lanes=16)
