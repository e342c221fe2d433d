_base_ = [
    '../_base_/datasets/affwild2.py',
    '../_base_/models/transformer_attention.py',
    '../_base_/schedules/adam_30_epochs.py',
    '../_base_/default_runtime.py',
]
