# For CEAP-360VR: a higher rate for fewer epochs.
_base_ = './tagf.py'
lr = 1e-3
epochs = 20
warmup = 2
