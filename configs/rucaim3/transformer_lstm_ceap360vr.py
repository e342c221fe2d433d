_base_ = [
    '../_base_/datasets/ceap360vr.py',
    '../_base_/models/transformer_lstm.py',
    '../_base_/schedules/adam_30_epochs.py',
    '../_base_/default_runtime.py',
]
