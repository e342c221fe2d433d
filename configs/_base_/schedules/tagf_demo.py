# For the demo data: a higher rate for fewer epochs.
_base_ = './tagf.py'
lr = 1e-3
epochs = 20
warmup = 2
