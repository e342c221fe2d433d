_base_ = [
    '../_base_/datasets/ceap360vr.py',
    '../_base_/models/fclstm_xl.py',
    '../_base_/schedules/adam_30_epochs.py',
    '../_base_/default_runtime.py',
]
lr = 3e-5
constant_epochs = 3
