# Optimiser and schedule of RUCAIM3 (docs/rucaim3.md, Training): 10 epochs at the full rate, 20 towards zero.
lr = 2e-5
epochs = 30
constant_epochs = 10

optim_wrapper = dict(
    type='VAOptimWrapper',
    constructor='SubnetworkConstructor',
    optimizer=dict(type='Adam', lr='${lr}', betas=(0.5, 0.999), fused=True),
    max_norm=5.0,  # per sub-network
    precision='fp32',
)
param_scheduler = [dict(type='ConstantThenLinearLR', constant_epochs='${constant_epochs}', end='${epochs}')]
train_cfg = dict(type='VATrainLoop', max_epochs='${epochs}')
val_cfg = dict(type='ValLoop')
