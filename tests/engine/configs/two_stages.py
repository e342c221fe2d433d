# ruff: noqa: C408 (the style of configs)
# A model that is released in two stages, trained as TAGF is, in seconds.
_base_ = ['../../../configs/_base_/datasets/demo.py', '../../../configs/_base_/default_runtime.py']
features = ['affectnet', 'egemaps']
segment_length = 40
epochs = 12
lr = 0.01

train_sampler = dict(type='ClipSampler', batch_size=4, shuffle=True)
val_sampler = dict(type='ClipSampler', batch_size=8, shuffle=False)
model = dict(
    type='VAEstimator',
    targets='${targets}',
    context=[dict(type='FeedForward', hidden=16), dict(type='FeedForward', hidden=12)],
    frozen=['context.0', 'context.1'],
    head=dict(type='TanhHead', layers=[8], losses=[dict(type='WindowCCCLoss')]),
)
optim_wrapper = dict(
    type='VAOptimWrapper',
    constructor='SubnetworkConstructor',
    optimizer=dict(type='Adam', lr='${lr}', weight_decay=1e-3, fused=True),
)
param_scheduler = [dict(type='WarmupPlateauLR', warmup=1, patience=0)]
train_cfg = dict(type='VATrainLoop', max_epochs='${epochs}')
val_cfg = dict(type='ValLoop')
custom_hooks = [
    dict(type='ReloadBestHook'),
    dict(type='GradualReleaseHook', stages=[['context.1.linear'], ['context.0']], min_lr=2e-3),
    dict(type='EarlyStopHook', patience=8, start=1),
    dict(type='ValidationLossHook'),
    dict(type='TrainingLogHook'),
]
