_base_ = [
    '../_base_/datasets/ceap360vr_dropped.py',
    '../_base_/models/gru.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
hidden = 128  # 17 inputs need no more
regressor = [64]
