_base_ = [
    '../_base_/datasets/affwild2.py',
    '../_base_/models/gru.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
