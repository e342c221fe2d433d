# What every run does besides training.
default_scope = 'abawfw'

seed = 100  # the reference's first run: 99 + run index 1 (docs/rucaim3.md, Training)
randomness = dict(seed='${seed}')

default_hooks = dict(
    runtime_info=None,
    timer=None,
    sampler_seed=None,
    logger=None,
    param_scheduler=dict(type='ParamSchedulerHook'),
    training_metric=dict(type='TrainingMetricHook'),
    non_finite_loss=dict(type='NonFiniteLossHook'),
    progress=dict(type='ProgressHook'),
    log=dict(type='EpochLogHook'),
    checkpoint=dict(type='VACheckpointHook', batches=0),
    summary=dict(type='SummaryHook'),
    interrupt=dict(type='InterruptHook'),
)
