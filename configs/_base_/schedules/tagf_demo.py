# For the demo data: a higher rate for fewer epochs.
_base_ = './tagf.py'
lr = 1e-3
epochs = 10
warmup = 2
