# Optimiser and schedule of Mamba-VA (docs/mamba_va.md, Training).
lr = 3e-5
weight_decay = 1e-3
epochs = 50
warmup = 5
period = 46  # the length of the first cosine: in epochs it does not end within the training
period_unit = 'epoch'

optim_wrapper = dict(
    type='abawfw.VAOptimWrapper',  # that constructor looks it up in MMEngine's registry
    constructor='DefaultOptimWrapperConstructor',  # one group: the norm of all gradients is clipped
    optimizer=dict(type='AdamW', lr='${lr}', weight_decay='${weight_decay}', eps=1e-7, fused=True),
    max_norm=1.0,
    precision='fp32',
)
param_scheduler = [
    dict(type='CosineRestartsLR', warmup='${warmup}', period='${period}', unit='${period_unit}')
]
train_cfg = dict(type='VATrainLoop', max_epochs='${epochs}')
val_cfg = dict(type='ValLoop')
