_base_ = [
    '../_base_/datasets/ceap360vr_dropped.py',
    '../_base_/models/conformer.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
hidden = 64  # 17 inputs need no more
regressor = [64]
layers = 2
ffn = 128
dropout = 0.2
lanes = 16
