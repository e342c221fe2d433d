# For small data sets: a higher rate for a few epochs.
_base_ = './ras.py'
lr = 5e-4
epochs = 8
custom_hooks = ['${training_log}']
