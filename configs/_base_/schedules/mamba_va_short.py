# For small data sets: a higher rate for fewer epochs.
_base_ = './mamba_va.py'
lr = 1e-3
epochs = 8
warmup = 1
period = 8  # of which the warm-up leaves seven: the cosine does not end within the training either
