_base_ = [
    '../_base_/datasets/gump.py',
    '../_base_/models/transformer_lstm.py',
    '../_base_/schedules/adam_8_epochs.py',
    '../_base_/default_runtime.py',
]
segment_length = 150  # 30 s
hidden = 32  # 92 inputs, but only 50 clips to learn from
layers = 1
ffn = 64
regressor = [32]
train_sampler = dict(lanes=8)
