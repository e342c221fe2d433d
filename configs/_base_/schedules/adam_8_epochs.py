# For small data sets: a higher rate for fewer epochs. Chosen on CEAP-360VR's val partition.
_base_ = './adam_30_epochs.py'
lr = 5e-4
epochs = 8
constant_epochs = 3
