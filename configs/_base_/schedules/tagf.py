# Optimiser and schedule of TAGF and its family (docs/tagf.md, Training), without backbones to release.
lr = 1e-4
weight_decay = 1e-3
epochs = 100
warmup = 5

optim_wrapper = dict(
    type='VAOptimWrapper',
    constructor='SubnetworkConstructor',
    optimizer=dict(type='Adam', lr='${lr}', weight_decay='${weight_decay}', fused=True),
    precision='fp32',
)
param_scheduler = [dict(type='WarmupPlateauLR', warmup='${warmup}', patience=5, factor=0.1)]
train_cfg = dict(type='VATrainLoop', max_epochs='${epochs}')
val_cfg = dict(type='ValLoop')

reload_best = dict(type='ReloadBestHook')
early_stop = dict(type='EarlyStopHook', patience=50, start='${warmup}')
training_log = dict(type='TrainingLogHook')
validation_loss = dict(type='ValidationLossHook')
custom_hooks = ['${reload_best}', '${early_stop}', '${training_log}', '${validation_loss}']
