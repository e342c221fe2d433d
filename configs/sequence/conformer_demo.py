_base_ = [
    '../_base_/datasets/demo.py',
    '../_base_/models/conformer.py',
    '../_base_/schedules/adamw_cosine_short.py',
    '../_base_/default_runtime.py',
]
hidden = 64  # trains in a minute
regressor = [64]
layers = 2
ffn = 128
