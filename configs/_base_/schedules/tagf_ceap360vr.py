# For CEAP-360VR: a higher rate for a few epochs, each of which goes on from the last.
_base_ = './tagf.py'
lr = 1e-3
epochs = 6
warmup = 1
custom_hooks = ['${training_log}', '${validation_loss}']
