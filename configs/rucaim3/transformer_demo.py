_base_ = [
    '../_base_/datasets/demo.py',
    '../_base_/models/transformer.py',
    '../_base_/schedules/adam_30_epochs.py',
    '../_base_/default_runtime.py',
]
