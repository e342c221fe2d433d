# A linear map and Mamba layers whose state is carried through a video (ours; docs/mamba_va.md, Models).
hidden = 256
layers = 4
states = 8
regressor = [128]
losses = [dict(type='CCCLoss', over='batch')]
segment_length = 250

model = dict(
    type='VAEstimator',
    targets='${targets}',
    context=[
        dict(type='FeedForward', hidden='${hidden}', dropout=0.1),
        dict(type='MambaContext', layers='${layers}', states='${states}'),
    ],
    head=dict(type='RegressionHead', layers='${regressor}', dropout=0.3, losses='${losses}'),
)

train_sampler = dict(type='LaneBatchSampler', lanes=16, shuffle=True)
val_sampler = dict(type='LaneBatchSampler', lanes=16, shuffle=False)
