# A linear map and GRU layers whose state is carried through a video (arXiv:1406.1078; sizes are ours).
hidden = 256
dropout = 0.2
regressor = [128]
losses = [dict(type='CCCLoss', over='batch')]
segment_length = 250
lanes = 12

model = dict(
    type='VAEstimator',
    targets='${targets}',
    context=[
        dict(type='FeedForward', hidden='${hidden}', dropout='${dropout}'),
        dict(type='GRUContext', hidden='${hidden}'),
        dict(type='GRUContext', hidden='${hidden}'),
    ],
    head=dict(type='RegressionHead', layers='${regressor}', dropout='${dropout}', losses='${losses}'),
)

train_sampler = dict(type='LaneBatchSampler', lanes='${lanes}', shuffle=True)
val_sampler = dict(type='LaneBatchSampler', lanes=16, shuffle=False)
