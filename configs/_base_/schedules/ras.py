# Optimiser and schedule of the visual and fusion models of team RAS (arXiv:2603.13056; train.py).
lr = 1e-4
weight_decay = 0.01
epochs = 100
patience = 15

optim_wrapper = dict(
    type='VAOptimWrapper',
    constructor='SubnetworkConstructor',
    optimizer=dict(type='AdamW', lr='${lr}', weight_decay='${weight_decay}', fused=True),
    precision='fp32',
)
param_scheduler = [dict(type='WarmupPlateauLR', warmup=0, patience=5, factor=0.1)]
train_cfg = dict(type='VATrainLoop', max_epochs='${epochs}')
val_cfg = dict(type='ValLoop')

early_stop = dict(type='EarlyStopHook', patience='${patience}', start=0)
training_log = dict(type='TrainingLogHook')
custom_hooks = ['${early_stop}', '${training_log}']
