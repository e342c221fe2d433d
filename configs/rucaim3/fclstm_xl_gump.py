_base_ = [
    '../_base_/datasets/gump.py',
    '../_base_/models/fclstm_xl.py',
    '../_base_/schedules/adam_8_epochs.py',
    '../_base_/default_runtime.py',
]
segment_length = 100  # 20 s
hidden = 32  # 92 inputs, but only 50 clips to learn from
regressor = [32]
lr = 1e-3
