# For small data sets: a higher rate for fewer epochs.
_base_ = './mamba_va.py'
lr = 1e-3
epochs = 8
warmup = 1
period = 8
