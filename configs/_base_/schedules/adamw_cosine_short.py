# For small data sets: a higher rate for fewer epochs.
_base_ = './adamw_cosine.py'
lr = 1e-3
epochs = 8
ema = 0.99
