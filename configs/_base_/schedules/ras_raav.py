# Of RAAV: a constant rate, gradients clipped.
_base_ = './ras.py'
lr = 5e-5
epochs = 50
patience = 6
optim_wrapper = dict(max_norm=1.0)
param_scheduler = []
