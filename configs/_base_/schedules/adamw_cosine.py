# AdamW, after a warm-up one cosine towards zero, batch by batch, and an average of the weights. The cosine is
# as long as the training and begins after the warm-up: training ends that many epochs before zero.
lr = 2e-4
weight_decay = 1e-2
epochs = 30
warmup = 1
ema = 0.999

optim_wrapper = dict(
    type='VAOptimWrapper',
    constructor='SubnetworkConstructor',
    optimizer=dict(type='AdamW', lr='${lr}', weight_decay='${weight_decay}', fused=True),
    max_norm=1.0,  # per sub-network
    precision='fp32',
)
param_scheduler = [dict(type='CosineRestartsLR', warmup='${warmup}', period='${epochs}')]
train_cfg = dict(type='VATrainLoop', max_epochs='${epochs}')
val_cfg = dict(type='ValLoop')
custom_hooks = [dict(type='EMAHook', decay='${ema}')]
