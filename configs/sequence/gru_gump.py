_base_ = [
    '../_base_/datasets/gump.py',
    '../_base_/models/gru.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
segment_length = 150  # 30 s
hidden = 32  # 92 inputs, but only 50 clips to learn from
regressor = [32]
