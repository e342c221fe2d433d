# RUCAIM3's fclstm-xl (arXiv:2203.13032; docs/rucaim3.md, The four models).
hidden = 512
regressor = [512, 256]
regressor_dropout = 0.3
losses = [dict(type='CCCLoss', over='batch')]
segment_length = 100

model = dict(
    type='VAEstimator',
    targets='${targets}',
    context=[
        dict(type='FeedForward', hidden='${hidden}', dropout=0.1),
        dict(type='LSTMContext', hidden='${hidden}'),
    ],
    head=dict(
        type='RegressionHead', layers='${regressor}', dropout='${regressor_dropout}', losses='${losses}'
    ),
    # the reference's initial weights: this model generalises better from them than from torch's
    init_cfg=dict(type='Normal', layer='Linear', std=0.02),
)

# Fewer lanes overfit sooner, more of them learn more slowly: see configs/rucaim3/README.md.
train_sampler = dict(type='LaneBatchSampler', lanes=12, shuffle=True)
val_sampler = dict(type='LaneBatchSampler', lanes=16, shuffle=False)
